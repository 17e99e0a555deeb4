"""The responses format: OpenAI's newer one, and that of everybody who is compatible with it. Both directions.

Upstream: `request.write`, `reply.read`, `stream.Reader`, `faults.recognise`. Towards clients: `request.read`,
`reply.write`, `stream.Writer`, `faults.write`.

A conversation is a list of *items*: messages, thoughts ("reasoning"), calls, results, and whatever the vendor's own
tools do. `output` turns the items of an answer into events, `input` messages into items.

Nothing is stored: the format lets a vendor keep answers and a client refer to them by id, but what one vendor keeps no
other can go on with. So vendors are asked not to, whole conversations are sent, thoughts come and go under their seal, and
the ids of messages, thoughts and calls mean nothing: clients are told ids of our making, and vendors none.
"""

from __future__ import annotations

from typing import Final

FORMAT: Final = "responses"
"""The name under which parts, events and requests carry what only this format understands."""

"""The messages format: Anthropic's.

Upstream: `request.write`, `reply.read`, `stream.Reader`, `faults.recognise`. Towards clients: `request.read`,
`reply.write`, `stream.Writer`, `faults.write`.
"""

from __future__ import annotations

from typing import Final

FORMAT: Final = "messages"
"""The name under which parts, events and requests carry what only this format understands."""

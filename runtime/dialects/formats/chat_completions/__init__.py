"""The chat-completions format: OpenAI's, and that of everybody who is compatible with it. Both directions.

Upstream: `request.write`, `reply.read`, `stream.Reader`, `faults.recognise`. Downstream, where applications speak
it to us: `request.read`, `reply.write`, `stream.Writer`, `faults.write`. What vendors do differently is
declared in `quirks.Quirks`, as data.
"""

from __future__ import annotations

from typing import Final

FORMAT: Final = "chat_completions"
"""The name under which parts, events and requests carry what only this format understands."""

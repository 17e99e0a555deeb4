"""OpenAI's text completions, the interface before chat, and that of everybody who has kept it. Both directions.

Upstream: `request.write`, `reply.read`, and `half.Completer` for the dialects. Downstream: `request.read`, `reply.write`,
`stream.Writer`. Quirks, usage, errors and the framing of streams are those of chat completions.
"""

from __future__ import annotations

from typing import Final

FORMAT: Final = "completions"
"""The name under which requests carry what only this format understands."""

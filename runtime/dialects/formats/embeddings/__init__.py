"""OpenAI's embeddings format, and that of everybody who is compatible with it. Both directions.

Upstream: `request.write`, `reply.read`, and `half.Embedder` for the dialects. Downstream: `request.read`, `reply.write`. What
vendors do differently is declared in `options.Options`, as data. Errors look as those of chat completions do.
"""

from __future__ import annotations

from typing import Final

FORMAT: Final = "embeddings"
"""The name under which requests carry what only this format understands."""

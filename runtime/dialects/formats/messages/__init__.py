"""The messages format: Anthropic's.

Upstream: `request.write`, `reply.read`, `stream.Reader`, `faults.recognise`. From a client: `request.read`.
"""

from __future__ import annotations

from typing import Final

FORMAT: Final = "messages"
"""The name under which parts, events and requests carry what only this format understands."""

"""Cohere's own chat format (`v2/chat`), as vendors of it are spoken to: requests out, answers in.

- `request`: canonical request -> body; `turns` its messages;
- `reply`: a buffered answer; `stream`: a streamed one; `usage`: what both were billed;
- `faults`: what a refusal means, and an answer that ends with an error.
"""

from __future__ import annotations

from typing import Final

FORMAT: Final = "cohere_chat"
"""The name under which parts, events and requests carry what only this format understands."""

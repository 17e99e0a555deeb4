"""Ollama's own chat format (`api/chat`), as its servers are spoken to: requests out, answers in.

- `request`: canonical request -> body; `turns` its messages;
- `reply`: a buffered answer, and what it shares with a streamed one; `stream`: JSON lines.

What a refusal means is found by the tables for everybody (`spellings.compatible`), which hold Ollama's words.
"""

from __future__ import annotations

from typing import Final

FORMAT: Final = "ollama_chat"
"""The name under which parts, events and requests carry what only this format understands."""

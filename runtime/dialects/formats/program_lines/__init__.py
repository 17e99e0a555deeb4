"""What a local program says on its standard output, line by line: JSON objects, or plain text. `lines` reads both."""

from __future__ import annotations

from typing import Final

FORMAT: Final = "program_lines"
"""The name under which parts and events carry what only this format understands."""

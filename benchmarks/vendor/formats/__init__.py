"""The formats that a scripted vendor speaks: one row each."""

from __future__ import annotations

from typing import Final

from .anthropic import Anthropic
from .base import Format
from .gemini import Gemini
from .openai import OpenAI

__all__ = ["FORMATS", "Format"]

FORMATS: Final[dict[str, Format]] = {each.name: each for each in (OpenAI(), Anthropic(), Gemini())}

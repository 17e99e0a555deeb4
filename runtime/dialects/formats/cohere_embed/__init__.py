"""Cohere's embeddings (`v2/embed`): `request` writes the body, `reply` reads the answer."""

from __future__ import annotations

from typing import Final

FORMAT: Final = "cohere_embed"
"""The name under which requests carry what only this format understands, such as `truncate`."""

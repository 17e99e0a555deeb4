"""A dialect's options, as a vendor has them of the catalogue, of its own table and of a model's, one over the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["merged"]


def merged(usual: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`usual`, with what `own` says in its place. Of an option that is a table itself, such as `embeddings`, key by key."""
    both = {**usual, **own}
    for name in usual.keys() & own.keys():
        before, after = usual[name], own[name]
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            both[name] = {**before, **after}
    return both

"""How one vendor speaks the responses format, declared as data, and which models think."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

__all__ = ["Options", "seals_thoughts"]

_THINKING: Final = re.compile(r"o[134](?!\d)|gpt-(?:[5-9]|\d\d)|codex|grok-(?:[4-9]|\d\d)")
"""How the names begin of models that think, after the names of vendors in front of them."""


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one vendor speaks the format. Every field is an option of the dialects that use it."""

    store: bool = False
    """Whether the vendor is to keep answers; nothing here ever asks it for one."""
    sealed_thoughts: bool | None = None
    """Whether thoughts are asked for under a seal (`reasoning.encrypted_content`), so that they can be sent back in the
    next turn. Models that do not think refuse it. By default the model's name decides."""
    refuses: tuple[str, ...] = ()
    """Names of body fields that it refuses, such as `store`, `include` or `parallel_tool_calls`."""
    max_event_bytes: int = 16 * 2**20
    """The longest streamed event that is taken. The last one repeats the whole answer, images in it included."""


def seals_thoughts(model: str) -> bool:
    """Whether a model of this name can be asked for sealed thoughts; a guess, see `Options.sealed_thoughts`."""
    name = model.rsplit("/", 1)[-1].lower()
    return _THINKING.match(name) is not None and "-chat" not in name

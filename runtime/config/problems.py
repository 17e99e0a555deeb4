"""What can be wrong with a configuration, and how a place in it is named.

Names say more than numbers: a place is written `vendors[2] (openai).models[0] (gpt-4o).price.input`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgspec import Struct

__all__ = ["ConfigError", "Problem", "Step", "nearest", "spell"]

Step: TypeAlias = str | int
"""One step down into a configuration: a key, or an index counted from 0."""

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


class Problem(Struct, frozen=True):
    """One thing that is wrong. `path` is empty when it concerns the whole file."""

    file: str
    path: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        line = ": ".join(part for part in (self.file, self.path, self.message) if part)
        whole = f"{line}\n    {self.remedy}" if self.remedy else line
        # It may quote what no terminal takes: lone surrogates, from JSON.
        return whole.encode("utf-8", "backslashreplace").decode()


class ConfigError(Exception):
    """The configuration cannot be used; `problems` are all the reasons that were found, at least one."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[Problem, ...]]]:
        return ConfigError, (self.problems,)


def spell(root: Any, steps: Sequence[Step]) -> str:
    """The place that `steps` lead to in `root`: nested dicts, lists and structs, whole or not."""
    words: list[str] = []
    node = root
    for step in steps:
        if isinstance(step, int):
            node = node[step] if isinstance(node, list) and step < len(node) else None
            name = _child(node, "name")
            words.append(f"[{step}] ({name})" if isinstance(name, str) and name else f"[{step}]")
        else:
            node = _child(node, step)
            key = step if _BARE_KEY.fullmatch(step) else f'"{step}"'
            words.append(f".{key}" if words else key)
    return "".join(words)


def _child(node: Any, key: str) -> Any:
    if isinstance(node, Mapping):
        return node.get(key)
    return getattr(node, key, None) if isinstance(node, Struct) else None


def nearest(word: str, known: Collection[str], otherwise: str = "known here") -> str:
    """A remedy for a wrong name: the known one that looks most like it, or else all of them."""
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), n=1)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"{otherwise}: {', '.join(sorted(known)) or 'none'}"

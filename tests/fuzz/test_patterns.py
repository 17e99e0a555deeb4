"""No regular expression of the house backtracks: each reads 64 KiB of the worst for it in linear time.

The worst is made from the pattern itself: whatever a part of it matches, again and again, and then something that does
not fit. A pattern that could read that in several ways tries them all; one that starts anew at every place reads the
rest as often. What a pattern is called with (`fullmatch`, `search`, ...) is taken from the source.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import zlib
from collections.abc import Iterator
from random import Random
from re import _constants as sre  # type: ignore[attr-defined]  # the only parser of patterns there is
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

import pytest
from llm_dispatcher import runtime

from .guard import Hang, cpu_limit

_SIZE: Final = 65_536
_ATTACKS: Final = 40
_SHORT: Final[dict[str, int]] = {
    "config.units._DURATION": 100,
    "dialects.hints._GO_PIECE": 64,
    "dialects.spellings": 2004,
}
"""Patterns, or modules of them, that are only shown what has been cut before, and how long that is at most."""
_METHODS: Final = ("fullmatch", "match", "search", "sub", "finditer", "findall", "split")
_CHARACTERS: Final = [*map(chr, range(32, 127)), "\t", "\n", "\r", "é", "٣"]


def patterns() -> Iterator[tuple[str, re.Pattern[Any], set[str]]]:
    """Every compiled pattern at the top of a module: its name, itself, and the methods it is used with."""
    seen: set[re.Pattern[Any]] = set()
    for found in pkgutil.walk_packages(runtime.__path__, f"{runtime.__name__}."):
        module = importlib.import_module(found.name)
        named = {name: value for name, value in vars(module).items() if any(True for _ in _all(value))}
        if not named:
            continue
        made, used = _names(inspect.getsource(module))
        for name, value in named.items():
            new = [each for each in _all(value) if each not in seen] if name in made else []
            seen.update(new)
            for number, pattern in enumerate(new):
                label = f"{found.name.removeprefix(f'{runtime.__name__}.')}.{name}"
                methods = used.get(name, set()) & set(_METHODS) or {"search"}
                yield f"{label}-{number}" if number else label, pattern, methods


def _all(value: object) -> Iterator[re.Pattern[Any]]:
    """The patterns in a value: itself, or those in a table of rows."""
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        yield from _all(list(value.values()))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _all(inner)
    elif hasattr(value, "__struct_fields__") and not isinstance(value, type):
        for field in value.__struct_fields__:
            yield from _all(getattr(value, field))


def _names(source: str) -> tuple[set[str], dict[str, set[str]]]:
    """The names that a module gives itself, and the methods that it calls on each."""
    made: set[str] = set()
    used: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            made.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used.setdefault(node.value.id, set()).add(node.attr)
    return made, used


# --- what a part of a pattern matches -------------------------------------------------------------


def sample(items: Any, rng: Random) -> str:
    """A text that a parsed pattern, or a part of one, matches (assertions and back references aside)."""
    return "".join(_one(code, argument, rng) for code, argument in items)


def _one(code: Any, argument: Any, rng: Random) -> str:
    if code is sre.LITERAL:
        return chr(argument)
    if code is sre.NOT_LITERAL:
        return rng.choice([letter for letter in _CHARACTERS if ord(letter) != argument])
    if code is sre.ANY:
        return rng.choice(_CHARACTERS)
    if code is sre.IN:
        return rng.choice([letter for letter in _CHARACTERS if _within(argument, letter)] or [""])
    if code is sre.BRANCH:
        return sample(rng.choice(argument[1]), rng)
    if code is sre.SUBPATTERN:
        return sample(argument[3], rng)
    if code in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        least, most, inner = argument
        count = rng.randint(least, min(most, least + 2))
        return "".join(sample(inner, rng) for _ in range(count))
    if code is sre.ATOMIC_GROUP:
        return sample(argument, rng)
    return ""


def _within(members: Any, letter: str) -> bool:
    found = negated = False
    for code, argument in members:
        if code is sre.NEGATE:
            negated = True
        elif code is sre.LITERAL:
            found = found or ord(letter) == argument
        elif code is sre.RANGE:
            found = found or argument[0] <= ord(letter) <= argument[1]
        elif code is sre.CATEGORY:
            kind = str(argument).removeprefix("CATEGORY_")
            holds = {
                "DIGIT": letter.isdecimal(),
                "SPACE": letter.isspace(),
                "WORD": letter.isalnum() or letter == "_",
            }
            found = found or holds[kind.removeprefix("NOT_")] != kind.startswith("NOT_")
    return found != negated


def parts(items: Any) -> Iterator[Any]:
    """The pattern, its beginnings, and every part of it that can be repeated."""
    items = list(items)
    for end in range(1, len(items) + 1):
        yield items[:end]
    for code, argument in items:
        if code in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            yield from parts(argument[2])
        elif code is sre.SUBPATTERN:
            yield from parts(argument[3])
        elif code is sre.ATOMIC_GROUP:
            yield from parts(argument)
        elif code is sre.BRANCH:
            for each in argument[1]:
                yield from parts(each)


def attacks(pattern: re.Pattern[Any], size: int, rng: Random) -> Iterator[Any]:
    """Texts of that size that are made to be read in many ways."""
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    parsed = parser.parse(
        text, pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags
    )
    choices = list(parts(parsed))
    for _ in range(_ATTACKS):
        start = sample(rng.choice(choices), rng) if rng.random() < 0.5 else ""
        unit = sample(rng.choice(choices), rng) or rng.choice(_CHARACTERS)
        attack = start + unit * (size // len(unit)) + rng.choice(("\0", "!", "", "\n\0"))
        yield attack if isinstance(pattern.pattern, str) else attack.encode("latin-1", "replace")


def worst(pattern: re.Pattern[Any], methods: set[str], size: int = _SIZE, seconds: float = 1.0) -> Any | None:
    """A text with which the pattern takes more CPU time than that; None if none was found."""
    for attack in attacks(pattern, size, Random(zlib.crc32(repr(pattern.pattern).encode()))):
        for method in methods:
            try:
                with cpu_limit(seconds):
                    if method == "sub":
                        pattern.sub(attack[:0], attack)
                    elif method == "finditer":
                        for _ in pattern.finditer(attack):
                            pass
                    else:
                        getattr(pattern, method)(attack)
            except Hang:
                return attack
    return None


PATTERNS: Final = {name: (pattern, methods) for name, pattern, methods in patterns()}


@pytest.mark.parametrize("name", PATTERNS)
def test_the_worst_text_for_a_pattern_is_read_in_linear_time(name: str) -> None:
    pattern, methods = PATTERNS[name]
    size = next((size for short, size in _SHORT.items() if name.startswith(short)), _SIZE)
    found = worst(pattern, methods, size)
    assert found is None, f"{sorted(methods)} of {found[:200]!r}... ({len(found)} long) takes for ever"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"(?:a|a)*b", "fullmatch"),
        (r"(?:\w+:[ \t]*[^\n]*\n)*", "fullmatch"),
        (r"<[^>]*>", "sub"),
        (r"<title>(.*?)</title>", "search"),
        (r"(\d+(?:\.\d+)?)(ms|s)", "finditer"),
    ],
)
def test_patterns_that_backtrack_are_found(pattern: str, method: str) -> None:
    assert worst(re.compile(pattern, re.DOTALL), {method}, seconds=0.2) is not None


def test_the_houses_patterns_are_found() -> None:
    assert {
        "wire.server_parser._HEADERS",
        "config.units._DURATION",
        "dialects.error_text._TITLE",
    } <= PATTERNS.keys()
    assert PATTERNS["wire.server_parser._HEADERS"][1] == {"fullmatch"}
    assert any(name.startswith("dialects.spellings.") for name in PATTERNS)

"""`${NAME}` in the values of a configuration: variables of the environment, put in after parsing.

Only values that are text are looked at, never keys or comments, so that no variable can change the
shape of a file. `${NAME:-default}` uses the default when the variable is unset or empty; a default may
hold `${...}` in turn. `$${` stands for `${`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from .problems import Problem, Step, spell

__all__ = ["Expanded", "Interpolated", "Missing", "expand", "interpolate"]

Missing = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Vendor -> field -> the unset variables that left it empty, any one of which would fill it."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEEPEST_DEFAULT: Final = 16
_DEEPEST: Final = 64
_MOST_VALUES: Final = 200_000
"""Far beyond any real configuration, and soon reached by YAML whose aliases multiply."""

_MAY_BE_UNSET: Final = ("api_key", "api_keys", "base_url")


class Expanded(Struct, frozen=True):
    """A text with its variables filled in, and the names of those that were not to be had."""

    text: str
    unset: tuple[str, ...] = ()


class Interpolated(Struct, frozen=True):
    """A configuration with its variables filled in."""

    values: dict[str, Any]
    missing: Missing
    problems: tuple[Problem, ...]


def expand(text: str, environ: Mapping[str, str], depth: int = 0) -> Expanded:
    """Fill in the variables of one text; unset ones become empty. Raises `ValueError` if it is malformed."""
    if "${" not in text:
        return Expanded(text)
    if depth > _DEEPEST_DEFAULT:
        raise ValueError(f"defaults are nested deeper than {_DEEPEST_DEFAULT}")
    pieces: list[str] = []
    unset: list[str] = []
    at = 0
    while (begin := text.find("${", at)) >= 0:
        if begin > at and text[begin - 1] == "$":
            pieces += (text[at : begin - 1], "${")
            at = begin + 2
            continue
        pieces.append(text[at:begin])
        end = _closing_brace(text, begin + 2)
        found = _lookup(text[begin + 2 : end], environ, depth)
        pieces.append(found.text)
        unset += found.unset
        at = end + 1
    pieces.append(text[at:])
    return Expanded("".join(pieces), tuple(unset))


def _closing_brace(text: str, at: int) -> int:
    """Where the reference that began before `at` ends: braces in a default come in pairs."""
    depth = 1
    for position in range(at, len(text)):
        if text[position] == "{":
            depth += 1
        elif text[position] == "}":
            depth -= 1
            if depth == 0:
                return position
    raise ValueError("a `${` has no closing `}`")


def _lookup(reference: str, environ: Mapping[str, str], depth: int) -> Expanded:
    name, separator, default = reference.partition(":-")
    if not _NAME.fullmatch(name):
        raise ValueError("a `${` is not followed by the name of a variable")
    value = environ.get(name)
    if value or (value is not None and not separator):
        return Expanded(value)
    if not separator:
        return Expanded("", (name,))
    inner = expand(default, environ, depth + 1)
    return Expanded(inner.text, (name, *inner.unset)) if inner.unset else inner


def interpolate(values: Mapping[str, Any], environ: Mapping[str, str], file: str) -> Interpolated:
    """Fill in the variables of a whole configuration.

    An unset variable is a problem, except where a vendor that is served only with a key (or never) says
    its key or address: there the value becomes empty, and `missing` says which variables it wanted.
    """
    walk = _Walk(values, environ, file)
    filled = walk.table(values, ())
    return Interpolated(filled, walk.missing, tuple(walk.problems))


class _Walk:
    """One way through a configuration, and what was found on it."""

    def __init__(self, root: Mapping[str, Any], environ: Mapping[str, str], file: str) -> None:
        self._root = root
        self._environ = environ
        self._file = file
        self._visited = 0
        self._optional: str | None = None
        self.missing: dict[str, dict[str, tuple[str, ...]]] = {}
        self.problems: list[Problem] = []

    def table(self, table: Mapping[Any, Any], steps: tuple[Step, ...]) -> dict[str, Any]:
        filled = {}
        for key, value in table.items():
            if not isinstance(key, str):
                self._problem(steps, f"the key {key!r} is not text", "put it in quotes")
            elif not _is_unicode(key):
                self._problem(steps, f"the key {key!r} is not valid Unicode")
            else:
                filled[key] = self._value(value, (*steps, key))
        return filled

    def _value(self, value: Any, steps: tuple[Step, ...]) -> Any:
        self._visited += 1
        if self._visited == _MOST_VALUES:
            self._problem((), f"more than {_MOST_VALUES} values")
        if self._visited >= _MOST_VALUES:
            return None
        if len(steps) > _DEEPEST:
            self._visited = _MOST_VALUES  # what refers to itself has no end: one problem is enough
            self._problem(steps[:2], "nested too deeply")
            return None
        if isinstance(value, str):
            return self._text(value, steps)
        if isinstance(value, list):
            return [self._value(item, (*steps, index)) for index, item in enumerate(value)]
        if isinstance(value, Mapping):
            if len(steps) == 2 and steps[0] == "vendors":
                return self._vendor(value, steps)
            return self.table(value, steps)
        return value

    def _vendor(self, table: Mapping[Any, Any], steps: tuple[Step, ...]) -> dict[str, Any]:
        self._optional = None
        if self._peek(table, "serve") in ("with_key", "never"):
            self._optional = self._peek(table, "name")
        filled = self.table(table, steps)
        self._optional = None
        return filled

    def _peek(self, table: Mapping[Any, Any], key: str) -> str:
        try:
            return expand(str(table.get(key, "")), self._environ).text
        except ValueError:
            return ""

    def _text(self, text: str, steps: tuple[Step, ...]) -> str:
        if not _is_unicode(text):
            self._problem(steps, "the text is not valid Unicode")
            return ""
        try:
            expanded = expand(text, self._environ)
        except ValueError as flaw:
            self._problem(steps, str(flaw), "write ${NAME} or ${NAME:-default}, and $${ for a plain ${")
            return ""
        if not expanded.unset:
            return expanded.text
        field = steps[2] if len(steps) > 2 else ""
        if self._optional is not None and field in _MAY_BE_UNSET:
            fields = self.missing.setdefault(self._optional, {})
            fields[str(field)] = (*fields.get(str(field), ()), *expanded.unset)
            return ""
        names = " or ".join(expanded.unset)
        verb = "is not set" if len(expanded.unset) == 1 else "are not set"
        remedy = (
            f"set {names} in the environment or in .env, or write a default: ${{{expanded.unset[0]}:-...}}"
        )
        self._problem(steps, f"{names} {verb}", remedy)
        return ""

    def _problem(self, steps: tuple[Step, ...], message: str, remedy: str = "") -> None:
        self.problems.append(Problem(self._file, spell(self._root, steps), message, remedy))


def _is_unicode(text: str) -> bool:
    """False for lone surrogates, which JSON can smuggle in and no socket or terminal takes."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)

"""From plain dicts to structs: whether every key is known and every value of its kind.

msgspec stops at the first flaw. So when it finds one, each table is converted by itself, and the first
flaw of each is reported, in words that name the place and the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, ValidationError, convert

from .problems import ConfigError, Problem, Step, nearest, spell
from .schema import Config
from .units import decode

if TYPE_CHECKING:
    from msgspec.inspect import Type

__all__ = ["shape"]

_MESSAGE: Final = re.compile(r"(.*) - at `(?:key` in `)?\$([^`]*)`", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[(\.\.\.)\]")
_UNKNOWN_KEY: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING_KEY: Final = re.compile(r"Object missing required field `(.*)`")
_BAD_CHOICE: Final = re.compile(r"Invalid enum value '(.*)'", re.DOTALL)
_KINDS: Final = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
_ANY_KEY: Final = "..."
"""How msgspec writes a key of a dict, without saying which."""


class _Flaw(Struct, frozen=True):
    steps: tuple[Step, ...]
    message: str
    remedy: str = ""


def shape(values: Mapping[str, Any], file: str) -> Config:
    """The configuration that `values` spell. Raises `ConfigError` with the first flaw of each table."""
    try:
        return _convert(values)
    except ValidationError as whole:
        flaws = list(_flaws(values)) or [_explain(values, whole)]
    raise ConfigError(Problem(file, spell(values, flaw.steps), flaw.message, flaw.remedy) for flaw in flaws)


def _convert(values: Mapping[str, Any]) -> Config:
    # Not strict: what came out of the environment is text, also where a number is wanted.
    try:
        return convert(values, Config, dec_hook=decode, strict=False)
    except UnicodeEncodeError:
        raise ValidationError("the text is not valid Unicode") from None


def _flaws(values: Mapping[str, Any]) -> Iterator[_Flaw]:
    for prefix, piece in _pieces(values):
        try:
            _convert(piece)
        except ValidationError as error:
            flaw = _explain(piece, error)
            yield _Flaw((*prefix, *flaw.steps[len(prefix) :]), flaw.message, flaw.remedy)


def _pieces(values: Mapping[str, Any]) -> Iterator[tuple[tuple[Step, ...], dict[str, Any]]]:
    """The configuration in parts that can be converted alone, and where each of them stands."""
    for key, value in values.items():
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield (key, index), {key: [item]}
        elif key == "modes" and isinstance(value, dict):
            for name, mode in value.items():
                yield (key, name), {key: {name: mode}}
        else:
            yield (key,), {key: value}


def _explain(values: Mapping[str, Any], error: ValidationError) -> _Flaw:
    match = _MESSAGE.fullmatch(str(error))
    message, path = (match[1], match[2]) if match else (str(error), "")
    steps = _steps(values, path)
    if found := _UNKNOWN_KEY.fullmatch(message):
        return _Flaw((*steps, found[1]), "unknown key", nearest(found[1], _known_keys(steps)))
    if found := _MISSING_KEY.fullmatch(message):
        return _Flaw((*steps, found[1]), "is missing", f"add `{found[1]} = ...`")
    if found := _BAD_CHOICE.fullmatch(message):
        choices = _choices(steps)
        remedy = nearest(found[1], choices, "one of")
        return _Flaw(steps, f"{found[1]!r} is not one of {', '.join(choices)}", remedy)
    if "matching regex" in message:
        return _Flaw(
            steps, "not a name", "a name has no spaces and no `#`, does not begin with `/`, and is not empty"
        )
    if message.startswith("Expected"):
        words = re.sub(r"`([^`]*)`", _kinds, message).replace("Expected", "expected", 1)
        return _Flaw(steps, words)
    return _Flaw(steps, message)


def _kinds(quoted: re.Match[str]) -> str:
    return " or ".join(_KINDS.get(word, word) for word in quoted[1].split(" | "))


def _steps(values: Any, path: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    node = values
    for key, index, any_key in _STEP.findall(path):
        step: Step = key
        if index:
            step = int(index)
        elif any_key:
            step = _wrong_key(node)
        steps.append(step)
        try:
            node = node[step]
        except (KeyError, IndexError, TypeError):
            node = None
    return tuple(steps)


def _wrong_key(table: Any) -> str:
    """Which key of a dict msgspec meant: the only one, or the first whose value is not text."""
    if not isinstance(table, Mapping):
        return _ANY_KEY
    wrong = [key for key, value in table.items() if not isinstance(value, str)]
    return str(wrong[0]) if wrong else _ANY_KEY


def _type_at(steps: tuple[Step, ...]) -> Type | None:
    """What the schema says about a place: a struct if that is one of several possibilities."""
    from msgspec import inspect

    kind: Type = inspect.type_info(Config)
    for step in steps:
        if isinstance(kind, inspect.StructType):
            field = next((field for field in kind.fields if field.encode_name == step), None)
            if field is None:
                return None
            kind = field.type
        elif isinstance(kind, inspect.DictType):
            kind = kind.value_type
        elif isinstance(kind, inspect.CollectionType):
            kind = kind.item_type
        else:
            return None
        if isinstance(kind, inspect.UnionType):
            kind = next((one for one in kind.types if isinstance(one, inspect.StructType)), kind.types[0])
    return kind


def _known_keys(steps: tuple[Step, ...]) -> list[str]:
    return [field.encode_name for field in getattr(_type_at(steps), "fields", ())]


def _choices(steps: tuple[Step, ...]) -> list[str]:
    return [str(value) for value in getattr(_type_at(steps), "values", ())]

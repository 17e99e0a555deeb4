"""Scripts from files, from text and by name; what is wrong with one is said with its place and a remedy."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec
import tomli
from msgspec import inspect

from ...runtime.config.problems import ConfigError, nearest
from ...runtime.config.sources import read
from .script import Script

__all__ = ["ScriptError", "builtin_names", "builtin_text", "load", "parse", "parse_json", "parse_toml"]

_MESSAGE: Final = re.compile(r"(.*) - at `\$\.?([^`]*)`", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_BAD_CHOICE: Final = re.compile(r"Invalid enum value '(.*)'", re.DOTALL)
_INDEX: Final = re.compile(r"\[[^]]*\]")


class ScriptError(ValueError):
    """A script cannot be used. The message names the file, the place in it, and what is wrong."""


def load(name_or_path: str) -> Script:
    """A built-in script by name, or one from a file (`.toml`, `.json`, `.yaml`). Raises `ScriptError`."""
    if name_or_path in builtin_names():
        return parse_toml(builtin_text(name_or_path).encode(), name_or_path)
    path = Path(name_or_path)
    if not path.suffix and not path.exists():
        remedy = nearest(name_or_path, builtin_names(), "there are")
        raise ScriptError(f"no script is called {name_or_path!r}, and no file; {remedy}")
    try:
        return parse(read(path), str(path))
    except ConfigError as error:
        raise ScriptError(str(error)) from None


def parse_toml(text: bytes, source: str) -> Script:
    """A script from TOML. Raises `ScriptError`."""
    try:
        return parse(tomli.loads(text.decode()), source)
    except (tomli.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScriptError(f"{source}: no TOML: {error}") from None


def parse_json(text: bytes, source: str) -> Script:
    """A script from JSON. Raises `ScriptError`."""
    try:
        return parse(msgspec.json.decode(text), source)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if isinstance(error, msgspec.ValidationError):
            raise
        raise ScriptError(f"{source}: no JSON: {error}") from None


def parse(values: Any, source: str = "script") -> Script:
    """A script from plain data. Raises `ScriptError`."""
    try:
        return msgspec.convert(values, Script)
    except msgspec.ValidationError as error:
        raise ScriptError(f"{source}: {_explain(str(error))}") from None


def builtin_names() -> list[str]:
    """The scripts that come with the package."""
    folder = files(__package__) / "scripts"
    return sorted(each.name.removesuffix(".toml") for each in folder.iterdir() if each.name.endswith(".toml"))


def builtin_text(name: str) -> str:
    """A built-in script as it is written, comments included."""
    return (files(__package__) / "scripts" / f"{name}.toml").read_text(encoding="utf-8")


def _explain(said: str) -> str:
    """msgspec's message with the place first, and for a wrong name the nearest right one."""
    match = _MESSAGE.fullmatch(said)
    message, path = (match[1], match[2]) if match else (said, "")
    kind = _type_at(path)
    if found := _UNKNOWN.fullmatch(message):
        place = f"{path}.{found[1]}".lstrip(".")
        known = [field.encode_name for field in kind.fields] if isinstance(kind, inspect.StructType) else []
        return f"{place}: unknown key; {nearest(found[1], known)}"
    if found := _BAD_CHOICE.fullmatch(message):
        choices = [str(value) for value in kind.values] if isinstance(kind, inspect.LiteralType) else []
        return f"{path}: {found[1]!r} is none of the choices; {nearest(found[1], choices, 'there are')}"
    return f"{path}: {message}" if path else message


def _type_at(path: str) -> inspect.Type:
    """What the schema says about a place, as far as it can be told from the path."""
    kind: inspect.Type = inspect.type_info(Script)
    for name in [part for part in re.split(r"\.|(?=\[)", path) if part]:
        if _INDEX.fullmatch(name):
            inner = getattr(kind, "item_type", None) or getattr(kind, "value_type", None)
        else:
            fields = kind.fields if isinstance(kind, inspect.StructType) else ()
            inner = next((field.type for field in fields if field.encode_name == name), None)
        if inner is None:
            return inspect.AnyType()
        kind = inner
        if isinstance(kind, inspect.UnionType):
            kind = next((each for each in kind.types if not isinstance(each, inspect.NoneType)), kind)
    return kind

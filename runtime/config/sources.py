"""Files, read: TOML, YAML or JSON by suffix, into plain dicts. What cannot be read says where and why.

A key that is written twice is an error in each of the three: the parsers of YAML and JSON would quietly
let the last one win.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .problems import ConfigError, Problem

if TYPE_CHECKING:
    import yaml

__all__ = ["read", "read_text"]

_JSON_TOKEN: Final = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|[{}]', re.DOTALL)


class _Malformed(Exception):
    """The text breaks its own format at `line` and `column`, both counted from 1; 0 if unknown."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


def read(path: Path) -> dict[str, Any]:
    """The table that the file at `path` holds. Raises `ConfigError`, which names line and column."""
    parsers = {".toml": _toml, ".yaml": _yaml, ".yml": _yaml, ".json": _json}
    parse = parsers.get(path.suffix.lower())
    if parse is None:
        raise _error(path, f"unknown kind of file {path.suffix!r}", "name it .toml, .yaml, .yml or .json")
    text = read_text(path)
    try:
        held = parse(text)
    except _Malformed as flaw:
        where = f"line {flaw.line}, column {flaw.column}" if flaw.line else ""
        raise ConfigError([Problem(str(path), where, flaw.message)]) from None
    except RecursionError:
        raise _error(path, "nested too deeply") from None
    except ValueError as flaw:  # such as a number of thousands of digits, or the 31st of February
        raise _error(path, str(flaw)) from None
    except ModuleNotFoundError:
        raise _error(
            path, "YAML needs a further package", "pip install 'llm-dispatcher[yaml]', or write TOML"
        ) from None
    if not isinstance(held, dict):
        raise _error(path, f"the file holds a {type(held).__name__}, not a table of keys and values")
    return held


def read_text(path: Path) -> str:
    """The text of a UTF-8 file. Raises `ConfigError`."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as flaw:
        line = flaw.object.count(b"\n", 0, flaw.start) + 1
        message = f"byte {flaw.object[flaw.start]:#04x} is not UTF-8"
        raise ConfigError([Problem(str(path), f"line {line}", message, "save it as UTF-8")]) from None
    except FileNotFoundError:
        raise _error(path, "no such file", "check the path, and the directory it is relative to") from None
    except OSError as flaw:
        raise _error(path, f"cannot be read: {flaw.strerror or flaw}") from None


def _error(path: Path, message: str, remedy: str = "") -> ConfigError:
    return ConfigError([Problem(str(path), "", message, remedy)])


def _toml(text: str) -> Any:
    import tomli

    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as flaw:
        raise _Malformed(flaw.msg, flaw.lineno, flaw.colno) from None


def _json(text: str) -> Any:
    import json

    def constant(name: str) -> float:
        raise ValueError(f"{name} is not JSON")

    try:
        held = json.loads(text, parse_constant=constant)
    except json.JSONDecodeError as flaw:
        raise _Malformed(flaw.msg, flaw.lineno, flaw.colno) from None
    for key, at in _repeated_keys(text):
        line_start = text.rfind("\n", 0, at) + 1
        message = f"the key {key} is given twice"
        raise _Malformed(message, text.count("\n", 0, at) + 1, at - line_start + 1)
    return held


def _repeated_keys(text: str) -> Iterator[tuple[str, int]]:
    """Keys given twice in one object of a valid JSON text, and where the second one begins."""
    seen: list[set[str]] = []
    for token in _JSON_TOKEN.finditer(text):
        if token[0] == "{":
            seen.append(set())
        elif token[0] == "}":
            seen.pop()
        elif token[2] is not None:
            if token[1] in seen[-1]:
                yield token[1], token.start()
            seen[-1].add(token[1])


def _yaml(text: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses what the standard loader lets pass: keys given twice in one mapping."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
            if isinstance(node, yaml.MappingNode):
                _refuse_repeated_keys(node)
            return super().construct_mapping(node, deep)

        def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
            try:
                return super().construct_object(node, deep)
            except (ArithmeticError, AttributeError, LookupError, TypeError):
                # PyYAML takes it for granted that a value fits the tag before it, as in `!!bool maybe`.
                message = f"the value does not fit its tag {node.tag!r}"
                raise _Malformed(message, node.start_mark.line + 1, node.start_mark.column + 1) from None

    try:
        held = yaml.load(text, Loader)
    except yaml.MarkedYAMLError as flaw:
        mark = flaw.problem_mark or flaw.context_mark
        message = flaw.problem or flaw.context or "not YAML"
        raise _Malformed(message, mark.line + 1 if mark else 0, mark.column + 1 if mark else 0) from None
    except yaml.reader.ReaderError as flaw:
        line = text.count("\n", 0, flaw.position) + 1
        column = flaw.position - text.rfind("\n", 0, flaw.position)
        raise _Malformed(f"the character {flaw.character!r} is not allowed in YAML", line, column) from None
    return {} if held is None else held


def _refuse_repeated_keys(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key.value, str) or key.tag == "tag:yaml.org,2002:merge":
            continue
        if key.value in seen:
            mark = key.start_mark
            message = f"the key {key.value!r} is given twice"
            raise _Malformed(message, mark.line + 1, mark.column + 1)
        seen.add(key.value)

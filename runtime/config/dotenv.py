"""`.env` files: variables beside the configuration, for those who keep secrets out of their shell.

The common subset of the many dialects: `NAME=value`, `export NAME=value`, `# comment`, values in single
quotes (literal), in double quotes (`\\n`, `\\t`, `\\"` and the like are understood) or in none (up to a ` #`).
Quoted values may run over several lines. Nothing is expanded, and nothing is executed.
"""

from __future__ import annotations

import re
from typing import Final

from .problems import ConfigError, Problem

__all__ = ["parse_dotenv"]

_BLANK: Final = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_NAME: Final = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*")
_SINGLE: Final = re.compile(r"'([^']*)'")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_PLAIN: Final = re.compile(r"[^\n]*")
_COMMENT: Final = re.compile(r"(?:^|[ \t])#.*")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}


def parse_dotenv(text: str, file: str) -> dict[str, str]:
    """The variables that `text` sets; the last of a name counts.

    Raises `ConfigError` that names `file` and line, never the line's text, which may be a secret.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        if blank := _BLANK.match(text, at):
            at = blank.end()
            continue
        name = _NAME.match(text, at)
        if name is None:
            raise _malformed(
                text, at, file, "not of the form NAME=value", "put a # before it to leave it out"
            )
        found[name[1]], at = _value(text, name.end(), file, name[1])
    return found


def _value(text: str, at: int, file: str, name: str) -> tuple[str, int]:
    quote = text[at : at + 1]
    if quote not in ("'", '"'):
        plain = _PLAIN.match(text, at)
        whole, end = (plain[0], plain.end()) if plain else ("", at)
        return _COMMENT.sub("", whole).strip(), end
    quoted = (_SINGLE if quote == "'" else _DOUBLE).match(text, at)
    if quoted is None:
        raise _malformed(text, at, file, f"the value of {name} has no closing {quote}", "")
    rest = _BLANK.match(text, quoted.end())
    if rest is None:
        raise _malformed(
            text, at, file, f"something follows the quoted value of {name}", "quote it as a whole"
        )
    value = quoted[1]
    if quote == '"':
        value = _ESCAPE.sub(lambda escape: _ESCAPES.get(escape[1], escape[1]), value)
    return value, rest.end()


def _malformed(text: str, at: int, file: str, message: str, remedy: str) -> ConfigError:
    return ConfigError([Problem(file, f"line {text.count(chr(10), 0, at) + 1}", message, remedy)])

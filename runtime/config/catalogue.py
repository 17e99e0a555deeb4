"""The catalogue: vendors that are known by name, so that a configuration needs to say nothing but that.

A `[[vendors]]` table takes what it does not say itself from the row (`catalogue.toml`) that it names as its
`catalogue`. Without that key, a table that is called like a row and gives no address is that vendor. Whoever writes
an address has a server of their own in mind, even under a known name: then nothing is filled in, and in
particular no key that the environment holds for somebody else.

What is filled in is text like that of a file: `${NAME}` is put in afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct, convert

from .options import merged
from .problems import Problem, nearest, spell
from .sources import read

__all__ = ["Entry", "catalogue", "stocked"]

_FILE: Final = Path(__file__).with_name("catalogue.toml")


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row; the head of `catalogue.toml` says what its fields mean."""

    title: str
    base_url: str
    keys: list[str]
    optional: bool = False
    dialect: str = "openai"
    options: dict[str, Any] = {}
    limit_model: str | None = None
    model: str
    models: list[dict[str, Any]] = []
    console: str | None = None
    docs: str
    note: str | None = None
    prices: str | None = None
    key: str | None = None

    @property
    def api_key(self) -> str:
        """The key as a configuration would say it: `${A}`, or `${A:-${B}}` where either will do."""
        if self.key is not None:
            return self.key
        *others, last = self.keys
        text = f"${{{last}:-}}" if self.optional else f"${{{last}}}"
        for name in reversed(others):
            text = f"${{{name}:-{text}}}"
        return text

    def table(self) -> dict[str, Any]:
        """What a `[[vendors]]` table takes from this row."""
        table: dict[str, Any] = {
            "dialect": self.dialect,
            "base_url": self.base_url,
            "api_key": self.api_key,
        }
        if self.options:
            table["options"] = self.options
        if self.limit_model is not None:
            table["limit_model"] = self.limit_model
        return table


@cache
def catalogue() -> Mapping[str, Entry]:
    """Every row by its name. Read when first asked for: most configurations need none."""
    return MappingProxyType(convert(read(_FILE), dict[str, Entry]))


def stocked(
    values: Mapping[str, Any], file: str, *, literal: bool = False
) -> tuple[dict[str, Any], list[Problem]]:
    """The configuration with what its vendors take from the catalogue, and what is wrong with that.

    `literal`: no variables will be put in later, so what would need one is left out.
    """
    vendors = values.get("vendors")
    if not isinstance(vendors, list):
        return dict(values), []
    problems: list[Problem] = []
    filled: list[Any] = []
    for index, table in enumerate(vendors):
        if isinstance(table, Mapping):
            flaw = _flaw(table)
            if flaw is not None:
                message, remedy = flaw
                problems.append(
                    Problem(file, spell(values, ("vendors", index, "catalogue")), message, remedy)
                )
            table = _filled(table, literal)
        filled.append(table)
    return {**values, "vendors": filled}, problems


def _flaw(table: Mapping[Any, Any]) -> tuple[str, str] | None:
    name = table.get("catalogue")
    if not isinstance(name, str):
        return None
    entry = catalogue().get(name)
    if entry is None:
        remedy = nearest(name, list(catalogue()), "the catalogue has")
        return f"the catalogue has no vendor {name!r}", remedy
    if table.get("dialect", entry.dialect) != entry.dialect:
        remedy = "leave one of the two out"
        return f"the catalogue's {name!r} speaks the dialect {entry.dialect!r}", remedy
    return None


def _entry_of(table: Mapping[Any, Any]) -> Entry | None:
    named = table.get("catalogue")
    if isinstance(named, str):
        return catalogue().get(named)
    if named is not None or "base_url" in table or "simulate" in table:
        return None
    name = table.get("name")
    return catalogue().get(name) if isinstance(name, str) else None


def _filled(table: Mapping[Any, Any], literal: bool) -> Mapping[Any, Any]:
    entry = _entry_of(table)
    if entry is None or table.get("dialect", entry.dialect) != entry.dialect:
        return table
    ready = {
        name: value
        for name, value in entry.table().items()
        if not (literal and isinstance(value, str) and "${" in value)
    }
    if entry.models:
        ready["models"] = entry.models
    if "api_keys" in table:
        ready.pop("api_key", None)
    own = table.get("options")
    if isinstance(own, Mapping):
        ready["options"] = merged(entry.options, own)
        return {**ready, **{name: value for name, value in table.items() if name != "options"}}
    return {**ready, **table}

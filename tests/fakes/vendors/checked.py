"""Requests held against the types of the vendors' own SDKs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from .asked import Malformed, require

__all__ = ["as_typed", "known"]


def as_typed(body: Any, typed: Any) -> Any:
    """`body` if it is one of `typed`. Raises `Malformed`."""
    try:
        _exhaust(_adapter(typed).validate_python(body))
    except ValidationError as error:
        raise Malformed(str(error)) from error
    return body


def known(body: dict[str, Any], typed: Any) -> None:
    """Raises `Malformed` where a field of `body` is none of the typed dictionary's."""
    unknown = body.keys() - typed.__required_keys__ - typed.__optional_keys__
    require(not unknown, f"unknown fields: {sorted(unknown)}")


@cache
def _adapter(typed: Any) -> TypeAdapter[Any]:
    return TypeAdapter(typed)


def _exhaust(validated: Any) -> None:
    """Iterables are not validated before they are gone through."""
    if isinstance(validated, dict):
        validated = validated.values()
    elif not isinstance(validated, list | Iterator):
        return
    for each in validated:
        _exhaust(each)

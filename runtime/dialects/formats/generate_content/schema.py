"""Google's OpenAPI dialect of schemas, as JSON schema.

Requests name schemas in either dialect. The canon has one, so a schema of the other is translated for
whoever else may answer, and kept beside it to the letter for Google.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["json_schema"]

_COUNTS: Final = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_ONE: Final = ("items", "additionalProperties", "not")
_LIST: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED: Final = ("properties", "$defs", "defs", "definitions")


def json_schema(schema: object) -> Any:
    """`schema` with types in lower case, `nullable` as a type, and counts that came as text as numbers."""
    if not isinstance(schema, dict):
        return schema
    found = {name: _value(name, value) for name, value in schema.items() if name != "propertyOrdering"}
    if found.pop("nullable", False) is True:
        if isinstance(found.get("type"), str):
            found["type"] = [found["type"], "null"]
        if isinstance(found.get("enum"), list) and None not in found["enum"]:
            found["enum"] = [*found["enum"], None]
        if isinstance(found.get("anyOf"), list):
            found["anyOf"] = [*found["anyOf"], {"type": "null"}]
    return found


def _value(name: str, value: Any) -> Any:
    if name == "type" and isinstance(value, str):
        return value.lower()
    if name in _COUNTS and isinstance(value, str) and value.isdecimal():
        return int(value)
    if name in _ONE:
        return json_schema(value)
    if name in _LIST and isinstance(value, list):
        return [json_schema(item) for item in value]
    if name in _NAMED and isinstance(value, dict):
        return {key: json_schema(item) for key, item in value.items()}
    return value

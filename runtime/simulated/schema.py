"""Makes up a value that fits a JSON schema: arguments of tool calls, and answers in JSON.

It knows the keywords of OpenAI's structured outputs, which are also the common ones elsewhere: types, `enum`,
`const`, `properties`, `required`, `items`, `anyOf`/`oneOf`/`allOf`, `$ref`, bounds on numbers, lengths and counts,
and the usual string formats. `pattern` and conditions are beyond it: what it makes may then not fit.
"""

from __future__ import annotations

import math
import random
from typing import Any, Final

from msgspec import Struct

__all__ = ["invent"]

_DEEP: Final = 4
"""From this depth on only what must be there is made, so that recursive schemas end."""

_DEEPEST: Final = 32
"""A schema that demands more nesting than this has no finite value that could be made."""

_MOST_ITEMS: Final = 100
"""Items and characters made at most, even where a schema asks for more."""

_MOST_VALUES: Final = 2000
"""Values made for one schema at most; beyond them everything is null."""

_FORMATS: Final[dict[str, str]] = {
    "date-time": "2030-01-02T03:04:05Z",
    "date": "2030-01-02",
    "time": "03:04:05Z",
    "duration": "PT5M",
    "email": "otter@example.com",
    "hostname": "vendor.example.com",
    "ipv4": "192.0.2.7",
    "ipv6": "2001:db8::7",
    "uri": "https://example.com/simulated",
    "uuid": "6f1c2d34-5b6a-4c7d-8e9f-0a1b2c3d4e5f",
}

_BY_NAME: Final[dict[str, tuple[str, ...]]] = {
    "city": ("Lisbon", "Tromsø", "Nairobi", "Kyoto"),
    "location": ("Lisbon", "Tromsø", "Nairobi", "Kyoto"),
    "country": ("Portugal", "Norway", "Kenya", "Japan"),
    "name": ("Ada", "Grace", "Barbara", "Radia"),
    "email": ("otter@example.com", "heron@example.org"),
    "url": ("https://example.com/simulated",),
    "query": ("otters at the harbour", "how to repair a barometer"),
    "date": ("2030-01-02",),
}
"""What strings of these names look like, so that made-up arguments read well."""

_WORDS: Final = ("simulated", "otter", "barometer", "harbour", "teapot", "heron", "ferry", "magpie")


class _Context(Struct):
    """What is the same all over one schema."""

    root: dict[str, Any]
    rng: random.Random
    values: int = 0
    """Made so far."""


def invent(schema: dict[str, Any] | None, rng: random.Random) -> Any:
    """A value for `schema`; without one, an object that says that it is simulated."""
    if not schema:
        return {"simulated": True, "answer": " ".join(rng.sample(_WORDS, 3))}
    return _value(_Context(schema, rng), schema, 0, "")


def _value(context: _Context, schema: Any, depth: int, name: str) -> Any:
    context.values += 1
    if not isinstance(schema, dict) or depth > _DEEPEST or context.values > _MOST_VALUES:
        return None
    schema = _resolved(context, schema, depth)
    if "const" in schema:
        return schema["const"]
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        return context.rng.choice(choices)
    match _kind(schema, depth):
        case "object":
            return _object(context, schema, depth)
        case "array":
            return _array(context, schema, depth, name)
        case "integer":
            return _integer(context.rng, schema)
        case "number":
            return _number(context.rng, schema)
        case "boolean":
            return context.rng.random() < 0.5
        case "null":
            return None
        case _:
            return _string(context.rng, schema, name)


def _resolved(context: _Context, schema: dict[str, Any], depth: int) -> dict[str, Any]:
    """`schema` with references followed, one alternative chosen, and what must all hold put together."""
    for _ in range(_DEEPEST):
        reference = schema.get("$ref")
        alternatives = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(reference, str):
            target = _lookup(context.root, reference)
            schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
        elif isinstance(alternatives, list):
            chosen = _alternative(context.rng, alternatives, depth)
            schema = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")} | chosen
        elif isinstance(schema.get("allOf"), list):
            schema = _merged(context.root, schema)
        else:
            break
    return schema


def _lookup(root: dict[str, Any], reference: str) -> dict[str, Any]:
    """What `#/$defs/name` points at; an empty schema if it points nowhere (RFC 6901)."""
    here: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        here = here.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(here, dict) else None
    return here if isinstance(here, dict) else {}


def _alternative(rng: random.Random, alternatives: list[Any], depth: int) -> dict[str, Any]:
    options = [option for option in alternatives if isinstance(option, dict)]
    if depth >= _DEEP:
        flat = [option for option in options if option.get("type") not in (None, "object", "array")]
        return flat[0] if flat else options[-1] if options else {}
    return rng.choice(options) if options else {}


def _merged(root: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    merged = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        if not isinstance(part, dict):
            continue
        if isinstance(part.get("$ref"), str):
            part = _lookup(root, part["$ref"])
        for key, value in part.items():
            before = merged.get(key)
            if isinstance(before, dict) and isinstance(value, dict):
                merged[key] = {**before, **value}
            elif isinstance(before, list) and isinstance(value, list) and key == "required":
                merged[key] = [*before, *value]
            else:
                merged.setdefault(key, value)
    return merged


def _kind(schema: dict[str, Any], depth: int) -> str:
    kind = schema.get("type")
    if isinstance(kind, list) and kind:
        return "null" if depth >= _DEEP and "null" in kind else str(kind[0])
    if isinstance(kind, str):
        return kind
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema else "string"


def _object(context: _Context, schema: dict[str, Any], depth: int) -> dict[str, Any]:
    properties = schema.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    required = schema.get("required")
    required = [str(name) for name in required] if isinstance(required, list) else []
    made = {}
    for name in [*properties, *[name for name in required if name not in properties]]:
        if name in required or (depth < _DEEP and context.rng.random() < 0.7):
            made[name] = _value(context, properties.get(name, {"type": "string"}), depth + 1, name)
    return made


def _array(context: _Context, schema: dict[str, Any], depth: int, name: str) -> list[Any]:
    least = _count(schema.get("minItems"), 0)
    most = max(least, _count(schema.get("maxItems"), max(least, 3)))
    length = least if depth >= _DEEP else context.rng.randint(max(least, min(1, most)), min(most, least + 3))
    prefix = schema.get("prefixItems")
    shapes = prefix if isinstance(prefix, list) else []
    length = max(length, len(shapes))
    rest = schema.get("items", {"type": "string"})
    return [
        _value(context, shapes[position] if position < len(shapes) else rest, depth + 1, name)
        for position in range(length)
    ]


def _count(value: Any, otherwise: int) -> int:
    return min(value, _MOST_ITEMS) if isinstance(value, int) and value >= 0 else otherwise


def _bounds(schema: dict[str, Any], step: float) -> tuple[float, float]:
    """The smallest and greatest value allowed, exclusive bounds moved inwards by `step`."""
    least = max(_bound(schema, "minimum", -math.inf), _bound(schema, "exclusiveMinimum", -math.inf) + step)
    most = min(_bound(schema, "maximum", math.inf), _bound(schema, "exclusiveMaximum", math.inf) - step)
    if least == -math.inf:
        least = min(1.0, most)
    return least, most if most != math.inf else least + 99


def _bound(schema: dict[str, Any], key: str, otherwise: float) -> float:
    value = schema.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def _integer(rng: random.Random, schema: dict[str, Any]) -> int:
    least, most = _bounds(schema, 1)
    step = max(1, int(_bound(schema, "multipleOf", 1)))
    low, high = math.ceil(least / step), math.floor(most / step)
    return step * rng.randint(low, max(low, high))


def _number(rng: random.Random, schema: dict[str, Any]) -> float:
    least, most = _bounds(schema, 0.0)
    if "multipleOf" in schema:
        return _integer(rng, schema)
    value = round(rng.uniform(least, most), 2)
    return value if least < value < most else (least + most) / 2


def _string(rng: random.Random, schema: dict[str, Any], name: str) -> str:
    known = _FORMATS.get(str(schema.get("format")))
    if known is not None:
        return known
    text = rng.choice(_BY_NAME.get(name.lower(), _WORDS))
    least = _count(schema.get("minLength"), 0)
    most = _count(schema.get("maxLength"), max(least, 64))
    while len(text) < least:
        text += " " + rng.choice(_WORDS)
    return text[:most]

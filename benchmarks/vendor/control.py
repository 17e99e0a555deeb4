"""The vendor's own door for tests and people: its books and its script over HTTP, beside the vendors' paths.

| request | |
|---|---|
| `GET /__vendor/meter` | sums of attempts and billed tokens: total, by key, by model |
| `GET /__vendor/history?last=N` | the last attempts (100, if N is not given), in order |
| `GET /__vendor/limits` | violations of the vendor's limits, and the most that any window has held |
| `GET /__vendor/script` | the script that is being played |
| `POST /__vendor/script` | play the script in the body: JSON, or TOML with a content type that says so |
| `POST /__vendor/reset` | begin again, with empty books |
| `GET .../models` | the script's models, as OpenAI lists them |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import msgspec

from .loading import ScriptError, parse_json, parse_toml

if TYPE_CHECKING:
    from .vendor import ScriptedVendor

__all__ = ["PREFIX", "handle", "meter"]

PREFIX: Final = "/__vendor/"

_LAST: Final = 100


def handle(
    vendor: ScriptedVendor,
    method: str,
    path: str,
    query: str,
    body: bytes,
    headers: Sequence[tuple[bytes, bytes]],
) -> tuple[int, bytes]:
    """Status and JSON body."""
    if not path.startswith(PREFIX):
        if method == "GET" and path.endswith("/models"):
            return _answer(_models(vendor))
        return _answer({"error": {"message": f"nothing is served for {method} at this path"}}, 404)
    name = path.removeprefix(PREFIX)
    if method == "POST" and name == "script":
        return _play(vendor, body, headers)
    if method == "POST" and name == "reset":
        vendor.reset()
        return _answer({"ok": True})
    if method != "GET":
        return _answer({"error": {"message": "not allowed"}}, 405)
    if name == "history":
        return _history(vendor, query)
    if name == "script":
        return _answer(vendor.script)
    view = {"meter": meter, "limits": _limits}.get(name)
    return _answer(view(vendor)) if view else _answer({"error": {"message": "no such view"}}, 404)


def meter(vendor: ScriptedVendor) -> dict[str, Any]:
    """The vendor's sums."""
    books = vendor.meter
    return {
        "total": books.total,
        "by_key": books.by_key,
        "by_model": books.by_model,
        "statistics": vendor.statistics(),
    }


def _limits(vendor: ScriptedVendor) -> dict[str, Any]:
    limiter = vendor.limiter
    return {
        "violated": limiter.violated,
        "violations": list(limiter.violations),
        "peaks": [
            {"limit": limit, "peak": peak}
            for limit, peak in zip(vendor.script.limits, limiter.peaks, strict=True)
        ],
    }


def _history(vendor: ScriptedVendor, query: str) -> tuple[int, bytes]:
    given = parse_qs(query).get("last", [str(_LAST)])[0]
    if not given.isdecimal() or len(given) > 9:
        return _answer({"error": {"message": f"last is {given!r}; give a number"}}, 400)
    return _answer(vendor.meter.last(int(given)))


def _play(vendor: ScriptedVendor, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> tuple[int, bytes]:
    kind = next((value for name, value in headers if name == b"content-type"), b"")
    try:
        script = (parse_toml if b"toml" in kind.lower() else parse_json)(body, "the request's body")
    except ScriptError as error:
        return _answer({"error": {"message": str(error)}}, 400)
    vendor.play(script)
    return _answer({"ok": True})


def _models(vendor: ScriptedVendor) -> dict[str, Any]:
    listed = [
        {"id": name, "object": "model", "created": 0, "owned_by": "script"} for name in vendor.script.models
    ]
    return {"object": "list", "data": listed}


def _answer(content: Any, status: int = 200) -> tuple[int, bytes]:
    return status, msgspec.json.encode(content)

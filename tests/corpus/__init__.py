"""Recorded vendor traffic as test data: the loader, and per wire format an oracle of its own.

The recordings are not part of this repository. They are looked for in the folder that the environment
variable `LLM_DISPATCHER_CORPUS` names, else in `../shared/corpus` beside the checkout; a test that needs
them skips with that reason where there are none.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

ROOT = Path(os.environ.get("LLM_DISPATCHER_CORPUS", Path(__file__).parents[2].parent / "shared" / "corpus"))

needs_corpus = pytest.mark.skipif(
    not ROOT.is_dir(), reason=f"no recorded vendor traffic at {ROOT} (set LLM_DISPATCHER_CORPUS)"
)


class Recording(msgspec.Struct, frozen=True):
    """One recorded exchange."""

    name: str
    vendor: str
    operation: str
    stream: bool
    method: str
    url: str
    request_headers: dict[str, str]
    request_body: Any
    status: int
    headers: dict[str, str]
    body: bytes
    chunks: list[int]

    @property
    def refused(self) -> bool:
        return self.status >= 400


@cache
def folder(name: str) -> tuple[Recording, ...]:
    """All recordings of one vendor and operation, such as `openai-chat`, in order of their names."""
    return tuple(_load(path) for path in sorted((ROOT / name).glob("*.json")))


def _load(path: Path) -> Recording:
    raw = json.loads(path.read_bytes())
    response = raw["response"]
    body = response["body"]
    if response.get("body_encoding") == "base64":
        data = base64.b64decode(body)
    elif isinstance(body, str):
        data = body.encode()
    else:
        data = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    return Recording(
        name=f"{path.parent.name}/{path.stem}",
        vendor=raw["vendor"],
        operation=raw["operation"],
        stream=raw["stream"],
        method=raw["request"]["method"],
        url=raw["request"]["url"],
        request_headers=raw["request"].get("headers") or {},
        request_body=raw["request"]["body"],
        status=response["status"],
        headers={name.lower(): value for name, value in (response.get("headers") or {}).items()},
        body=data,
        chunks=response.get("chunks") or [],
    )


def recordings(*folders: str) -> Iterator[Recording]:
    """The recordings of several folders, for `pytest.mark.parametrize`; none where there is no corpus."""
    for name in folders:
        yield from folder(name)


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording of status 200 holds, as its format's oracle reads it, in plain data.

    Per choice (in order of index): the whole text, the whole thinking text, the tool calls as
    (name, arguments parsed as JSON, or the raw text where it is not JSON), and the vendor's own
    finish word. `usage` holds the canonical field names that the vendor reported, or None.
    `complete` says whether the vendor's own end was reached.
    """

    texts: list[str]
    thinking: list[str]
    tool_calls: list[list[tuple[str, Any]]]
    finishes: list[str | None]
    usage: dict[str, int] | None
    complete: bool = True

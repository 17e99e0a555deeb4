"""What every recorded failure is, as judged by reading it (`judgements.toml`), and how failures are found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import tomli
from llm_dispatcher.actors.faults import FaultClass

from . import ROOT, Recording, folder

__all__ = ["errors_within", "failures", "judged"]


@cache
def _table() -> dict[str, FaultClass]:
    text = (Path(__file__).parent / "judgements.toml").read_text(encoding="utf-8")
    return {
        f"{where}/{name}": FaultClass(kind)
        for part in tomli.loads(text).values()
        for where, kinds in part.items()
        for kind, names in kinds.items()
        for name in names
    }


def judged() -> dict[str, FaultClass]:
    """The class of each recorded failure, by the recording's name."""
    return dict(_table())


def failures() -> Iterator[Recording]:
    """Every recorded exchange that failed: refused, or of status 200 with an error in its body."""
    for path in sorted(ROOT.iterdir()):
        for recording in folder(path.name) if path.is_dir() else ():
            if recording.refused or errors_within(recording):
                yield recording


def errors_within(recording: Recording) -> list[Any]:
    """The error objects in a body, in whichever framing it came; empty where there are none."""
    if recording.body[:1] == b"\x00":
        # Amazon's binary framing: an exception would name itself in a header, and none does.
        if b":exception-type" in recording.body:
            raise ValueError(f"{recording.name} has an exception in binary framing")
        return []
    found: list[Any] = []
    for piece in _pieces(recording.body.decode("utf-8", "replace")):
        holders = (piece, piece.get("response"), piece.get("delta"), *(piece.get("choices") or ()))
        found += [each["error"] for each in holders if isinstance(each, dict) and each.get("error")]
    return found


def _pieces(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a body: the whole, the lines, or the `data` of its events."""
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        lines = [line.removeprefix("data:").strip() for line in text.splitlines()]
        parsed = [_json(line) for line in lines]
    else:
        parsed = whole if isinstance(whole, list) else [whole]
    return (each for each in parsed if isinstance(each, dict))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None

"""A failing case, made small and printed as a test to paste."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from .target import Target

__all__ = ["Finding", "attempt", "regression", "shrink"]

_HERE = Path(__file__).parent


class Finding(Struct, frozen=True):
    """A case that broke a promise. `where` tells one finding from another: exception and place."""

    target: str
    where: str
    case: bytes
    text: str


def attempt(target: Target, case: bytes) -> Finding | None:
    """Try a case; what it found, if anything."""
    try:
        target.check(case)
    except Exception as error:
        return Finding(target.name, _where(error), case, "".join(traceback.format_exception(error)[-6:]))
    return None


def _where(error: BaseException) -> str:
    """The kind of the exception, and the innermost line that is not the harness's nor the standard library's."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    house = [frame for frame in frames if "/runtime/" in frame.filename or "/actors/" in frame.filename]
    mine = [frame for frame in frames if Path(frame.filename).parent == _HERE]
    frame = (house if house and not isinstance(error, AssertionError) else mine or frames)[-1]
    line = "" if type(error).__name__ in ("Hang", "RecursionError") else f":{frame.lineno}"
    return f"{type(error).__name__} at {Path(frame.filename).name}{line} {frame.name}"


def shrink(case: bytes, fails: Callable[[bytes], bool], tries: int = 2000) -> bytes:
    """A smaller case that still fails: pieces are left out as long as that works (Zeller's ddmin, greedily)."""
    size = max(1, len(case) // 2)
    while size and tries > 0:
        at = 0
        while at < len(case) and tries > 0:
            smaller = case[:at] + case[at + size :]
            tries -= 1
            if fails(smaller):
                case = smaller
            else:
                at += size
        size //= 2
    return case


def smallest(target: Target, finding: Finding) -> Finding:
    """The finding with a case as small as it gets."""
    hang = finding.where.startswith("Hang")

    def fails(case: bytes) -> bool:
        found = attempt(target, case)
        return found is not None and found.where == finding.where

    case = shrink(finding.case, fails, tries=20 if hang else 2000)
    return attempt(target, case) or finding


def regression(target: Target, finding: Finding) -> str:
    """The finding as a test for the file in which it belongs."""
    name = "".join(letter if letter.isalnum() else "_" for letter in target.name)
    return (
        f"# {finding.where}\n# for {target.home}, with: from tests.fuzz.targets import TARGETS\n"
        f"def test_{name}_takes_this_too() -> None:\n"
        f"    TARGETS[{target.name!r}].check(\n        {_literal(finding.case)}\n    )\n"
    )


def _literal(case: bytes) -> str:
    return repr(case) if len(case) < 2000 else f"bytes.fromhex({case.hex()!r})"

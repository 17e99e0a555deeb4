"""A pytest plugin for the tests of a copy: writes down, line by line, what happened to each, and whose code it was.

Line by line because a test that hangs is ended from outside, and whoever did so has to know which it was.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import pytest
from hypothesis import Phase, settings

__all__ = ["PROFILE", "RECORD", "Witnessed"]

RECORD: Final = "LLM_DISPATCHER_WITNESS"
"""The environment variable that names the file."""
PROFILE: Final = "mutations"
"""Hypothesis without chance, memory, or the time that the smallest counter-example takes to find."""

_DOES_NOT_RUN: Final = (SyntaxError, ImportError, NameError, AttributeError, TypeError)
"""Raised in the sources, these say that a mutation is no program; that a test fails of it proves nothing."""

settings.register_profile(
    PROFILE, derandomize=True, database=None, deadline=None, phases=(Phase.explicit, Phase.generate)
)


class Witnessed(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line. `begun` is a test that has begun, and has not ended unless another line says so."""

    what: Literal["sources", "begun", "passed", "failed", "broken"]
    test: str = ""
    seconds: float = 0.0
    why: str = ""


def _write(witnessed: Witnessed) -> None:
    with Path(os.environ[RECORD]).open("ab") as record:
        record.write(msgspec.json.encode(witnessed) + b"\n")


def pytest_sessionstart() -> None:
    module = import_module("llm_dispatcher.actors")
    _write(Witnessed("sources", why=str(Path(str(module.__file__)).resolve().parents[1])))


def pytest_runtest_logstart(nodeid: str) -> None:
    _write(Witnessed("begun", nodeid))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        _write(Witnessed("broken", report.nodeid, why=str(report.longrepr)[-500:]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.excinfo is not None and report.failed:
        error = call.excinfo.value
        what: Literal["failed", "broken"] = "broken" if any(map(_breaks, _leaves(error))) else "failed"
        _write(Witnessed(what, item.nodeid, call.duration, f"{type(error).__name__}: {error}"[:500]))
    elif call.when == "call":
        _write(Witnessed("passed", item.nodeid, call.duration))
    return report


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _breaks(error: BaseException) -> bool:
    if not isinstance(error, _DOES_NOT_RUN):
        return False
    trace, where = error.__traceback__, ""
    while trace is not None:
        where, trace = trace.tb_frame.f_code.co_filename, trace.tb_next
    return "llm_dispatcher" in Path(where).parts

"""Every target for a moment, and what the harness promises about itself.

How long a moment is: the hypothesis profiles `default` and `deep` (`HYPOTHESIS_PROFILE=deep`); `make fuzz` goes on for
as long as one likes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llm_dispatcher.runtime.dialects import dialect_names

from . import run, seeds
from .find import Finding, attempt, regression, shrink, smallest
from .guard import Hang, calls, cpu_limit, held
from .target import Target
from .targets import TARGETS
from .targets_dialects import client_readers, dialects

_DEEP: Final = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
_EXAMPLES: Final = 5000 if _DEEP else 25


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if not target.slow])
@settings(max_examples=_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(number=st.integers(0, 2**48))
def test_whatever_bytes_arrive_the_promises_hold(name: str, number: int) -> None:
    _try(TARGETS[name], TARGETS[name].case(number))


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.slow])
@settings(max_examples=max(5, _EXAMPLES // 5), deadline=None, suppress_health_check=list(HealthCheck))
@given(number=st.integers(0, 2**48))
def test_whatever_bytes_arrive_a_connection_ends(name: str, number: int) -> None:
    _try(TARGETS[name], TARGETS[name].case(number))


@pytest.mark.parametrize("name", TARGETS)
def test_what_the_cases_are_made_from_passes_itself(name: str) -> None:
    target = TARGETS[name]
    assert target.seeds
    for seed in target.seeds[:10]:
        _try(target, seed)


def _try(target: Target, case: bytes) -> None:
    finding = attempt(target, case)
    if finding is not None:
        small = smallest(target, finding)
        pytest.fail(f"{small.text}\n{regression(target, small)}", pytrace=False)


# --- the table ----------------------------------------------------------------------------------


def test_every_dialect_and_every_reader_is_fuzzed() -> None:
    made = {name for name, _ in dialects()}
    assert set(dialect_names()) <= made
    assert {
        f"{name}-{part}" for name in made for part in ("decoder", "completion", "fault")
    } <= TARGETS.keys()
    assert {f"{name}-client" for name, _, _ in client_readers()} <= TARGETS.keys()
    assert {"chat_completions", "generate_content"} <= {name for name, _, _ in client_readers()}


def test_a_format_that_nobody_has_written_seeds_for_is_fuzzed_with_everybodys() -> None:
    assert seeds.streams("new")
    assert seeds.wholes("new")
    assert seeds.client_requests("new")


@pytest.mark.parametrize("name", TARGETS)
def test_a_number_repeats_its_case(name: str) -> None:
    target = TARGETS[name]
    assert [target.case(number) for number in range(5)] == [target.case(number) for number in range(5)]


# --- the harness finds what it is there to find ------------------------------------------------------


def planted(*, hang: bool = False) -> Target:
    """A target with a mistake in it: three bytes in this order."""

    def check(case: bytes) -> None:
        if b"!" in case and b"?" in case[case.index(b"!") :]:
            while hang:
                pass
            raise IndexError("planted")

    return Target(
        "planted", "bytes", lambda: [b"a!b", b"c?d"], check, home="tests/x.py", cpu_seconds=0.1 if hang else 2
    )


def test_a_mistake_is_found_made_small_and_printed_as_a_test() -> None:
    found: dict[str, Finding] = {}
    target = planted()
    assert run.plain(target, 0.5, 0, found) > 100
    (finding,) = found.values()
    small = smallest(target, finding)
    assert small.case == b"!?"
    assert f"TARGETS['planted'].check(\n        {small.case!r}\n    )" in regression(target, small)


def test_a_hang_is_found() -> None:
    finding = attempt(planted(hang=True), b"!?")
    assert finding is not None
    assert finding.where.startswith("Hang")


def test_the_limit_of_cpu_time_ends_a_pattern_that_backtracks() -> None:
    import re

    with cpu_limit(0.1), pytest.raises(Hang):
        re.fullmatch(r"(?:a|a)*b", "a" * 40)


def test_shrinking_keeps_what_fails() -> None:
    assert shrink(b"xxaxxxxbxx", lambda case: b"a" in case and b"b" in case) == b"ab"


def test_calls_are_counted_and_what_is_held_is_found() -> None:
    assert calls(lambda: [len("x") for _ in range(50)]) - calls(lambda: [len("x") for _ in range(20)]) == 30
    assert held([bytearray(5000)]) - held([bytearray(0)]) > 4900


def lines(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if " cases" in line)


def test_the_command_tells_targets_cases_and_findings(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--seconds", "0.2", "--plain", "--start", "1", "--target", "ndjson", "--target", "dotenv"]
    assert run.main(arguments) == 0
    told = [line.split() for line in lines(capsys.readouterr().out)]
    assert [(line[0], line[3]) for line in told] == [("ndjson", "0"), ("dotenv", "0")]
    assert all(int(line[1]) > 10 for line in told)

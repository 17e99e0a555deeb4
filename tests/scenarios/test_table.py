"""Every row of the table holds."""

from __future__ import annotations

import pytest

from .measure import Case, run
from .table import ROWS

CASES = [
    pytest.param(
        case,
        id=" ".join(filter(None, [row.number, row.fault, case.variant and f"({case.variant})"])),
        marks=[pytest.mark.slow] if case.slow else [],
    )
    for row in ROWS
    for case in row.cases
    if not case.full
]


@pytest.mark.parametrize("case", CASES)
def test_under_each_fault_what_is_measured_is_what_is_expected(case: Case) -> None:
    outcome = run(case)
    assert outcome.error is None
    assert outcome.figures.taken, "a scenario without figures shows nothing"
    assert [str(each) for each in outcome.figures.violated] == []


def test_every_row_has_a_number_of_its_own() -> None:
    numbers = [row.number for row in ROWS]
    assert len(set(numbers)) == len(numbers)

"""The table of mutations is in step with the sources, and its runner tells life from death."""

from __future__ import annotations

import msgspec
import pytest

from .copy import ROOT, OutOfStep, copied, mutate
from .table import BY_NAME, MUTATIONS, Mutation
from .trial import try_out


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_row_has_its_place_in_the_sources(mutation: Mutation) -> None:
    changed = mutate((ROOT / mutation.file).read_text(encoding="utf-8"), mutation)
    compile(changed, mutation.file, "exec")


def test_every_row_has_a_name_of_its_own_and_tests_that_there_are() -> None:
    assert len(BY_NAME) == len(MUTATIONS)
    for mutation in MUTATIONS:
        for test in mutation.tests:
            file, _, name = test.partition("::")
            source = (ROOT / "tests" / file).read_text(encoding="utf-8")
            assert not name or f"def {name}(" in source


def test_every_promise_is_broken_in_two_places_at_least() -> None:
    kinds = [mutation.name.split("-")[0] for mutation in MUTATIONS]
    assert {kind: kinds.count(kind) >= 2 for kind in kinds} == dict.fromkeys(
        (
            "jitter",
            "permit",
            "refill",
            "eof",
            "stale",
            "money",
            "cooldown",
            "shield",
            "blame",
            "budget",
            "drain",
        ),
        True,
    )


def test_a_row_that_does_not_fit_the_code_any_more_is_said_to_be_one() -> None:
    row = BY_NAME["stale-probe"]
    for source in ("", row.old * 2):
        with pytest.raises(OutOfStep, match="rewrite the row"):
            mutate(source, row)


@pytest.mark.slow
def test_mistakes_are_noticed_and_what_is_none_is_not() -> None:
    row = BY_NAME["cooldown-day"]
    harmless = msgspec.structs.replace(row, new=row.old + "  # as before")
    nonsense = msgspec.structs.replace(row, new="        self.until = no_such_name")
    with copied() as copy:
        before = (copy.tree / row.file).read_bytes()
        noticed = try_out(copy, row)
        assert (noticed.verdict, noticed.by.split("::")[0]) == ("killed", f"tests/{row.tests[0]}")
        assert try_out(copy, harmless).verdict == "survived"
        assert try_out(copy, nonsense).verdict == "broken"
        assert (copy.tree / row.file).read_bytes() == before

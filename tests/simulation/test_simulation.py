"""Seeds in subprocesses: every promise is kept in all of them, and a seed is the same world each time."""

from __future__ import annotations

import pytest

from .run import mode_of, play_seeds
from .story import tell

_SEEDS = range(1, 51)
_SHARE = 10
"""So many in one test, so that the tests can be spread over processes."""


@pytest.mark.slow
@pytest.mark.parametrize("first", _SEEDS[::_SHARE])
def test_every_promise_is_kept_in_fifty_worlds(first: int) -> None:
    verdicts = list(play_seeds([(seed, mode_of(seed)) for seed in range(first, first + _SHARE)]))
    wrong = [f"seed {each.seed} ({each.mode}): {found}" for each in verdicts for found in each.violations]
    assert wrong == []
    assert len(verdicts) == _SHARE
    # That much goes wrong in these worlds, and that it is noticed, is what the rest is worth.
    assert (
        sum([each.attempts - each.estimated for each in verdicts])
        > sum([each.requests for each in verdicts]) / 4
    )
    assert sum([each.estimated for each in verdicts]) > 20


@pytest.mark.slow
def test_a_seed_is_the_same_world_in_every_process() -> None:
    seeds = [(seed, mode_of(seed)) for seed in (3, 10, 31, 44)]
    first = {each.seed: each.digest for each in play_seeds(seeds)}
    # In another order, so that what ran before in a process is another.
    second = {each.seed: each.digest for each in play_seeds(seeds[::-1], at_once=1)}
    assert first == second


def test_a_story_is_told_alike_each_time_and_each_seed_has_its_own() -> None:
    assert tell(7) == tell(7)
    assert tell(7) != tell(8)
    assert tell(7) != tell(7, "liveness")

"""Chance or not: the sum against one computed slowly, how often it is wrong, and how soon it is right."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.machines.suspicion import ALARM, Suspicion


@given(ends=st.lists(st.sampled_from(["begun", "refused", "named"]), max_size=200))
def test_the_sum_is_the_likelihood_of_a_limit_against_that_of_chance(ends: list[str]) -> None:
    suspicion, ratio = Suspicion(), 1.0
    for end in ends:
        if end == "begun":
            suspicion.begun()
            ratio = max(1.0, ratio * (0.5 / 0.9))
        else:
            # The refusal of a call that was counted as taken on.
            alarmed = suspicion.refused(named=end == "named")
            ratio *= (0.5 / 0.1) ** (2 if end == "named" else 1) * (0.9 / 0.5)
            assert alarmed is (ratio >= math.exp(ALARM))
            if alarmed:
                ratio = math.exp(ALARM - 1)
        assert suspicion.level == pytest.approx(math.log(ratio), abs=1e-9)
        assert suspicion.is_sound()


def refusals(suspicion: Suspicion, calls: int, *, named: bool = False) -> list[bool]:
    """One call after the other, each of them refused."""
    alarms = []
    for _ in range(calls):
        suspicion.begun()
        alarms.append(suspicion.refused(named=named))
    return alarms


def test_five_refusals_in_a_row_are_no_chance_and_three_that_say_so() -> None:
    assert refusals(Suspicion(), 6) == [False] * 4 + [True, True]
    assert refusals(Suspicion(), 4, named=True) == [False, False, True, True]


def test_of_calls_that_were_all_begun_before_the_first_was_refused_four_are_enough() -> None:
    suspicion = Suspicion()
    for _ in range(100):
        suspicion.begun()
    assert [suspicion.refused() for _ in range(4)] == [False, False, False, True]


def test_what_was_no_chance_once_is_suspected_sooner_until_others_have_been_taken_on() -> None:
    suspicion = Suspicion()
    refusals(suspicion, 5)
    suspicion.begun()
    assert refusals(suspicion, 2) == [True, True]
    for _ in range(15):
        suspicion.begun()
    assert refusals(suspicion, 5) == [False] * 4 + [True]


@pytest.mark.parametrize(("share", "calls"), [(0.01, 10**5), (0.05, 10**5), (0.1, 20_000)])
def test_chance_hardly_ever_raises_the_alarm(share: float, calls: int) -> None:
    rng, suspicion, alarms = random.Random(7), Suspicion(), 0
    for _ in range(calls):
        suspicion.begun()
        if rng.random() < share and suspicion.refused():
            alarms += 1
            suspicion.clear()
    assert alarms <= calls / math.exp(7)


@pytest.mark.parametrize("share", [0.4, 0.6, 0.9])
def test_a_limit_is_found_within_a_few_dozen_calls(share: float) -> None:
    for seed in range(50):
        rng, suspicion, calls = random.Random(seed), Suspicion(), 0
        while True:
            suspicion.begun()
            calls += 1
            if rng.random() < share and suspicion.refused():
                break
        assert calls <= 150


def test_what_cannot_have_come_about_is_seen() -> None:
    suspicion = Suspicion()
    for level in (-1.0, ALARM, math.inf, math.nan):
        suspicion.level = level
        assert not suspicion.is_sound()

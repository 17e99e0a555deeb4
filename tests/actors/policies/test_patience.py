"""How long the preferred one is worth waiting for, and when it is too late to ask at all."""

from __future__ import annotations

import pytest
from llm_dispatcher.actors.messages import Load, Ranking
from llm_dispatcher.actors.policies import late, patience

from .views import candidate, view

A, B = candidate("a"), candidate("b")


def test_the_last_one_is_waited_for_as_long_as_there_is_time() -> None:
    assert patience(A, None, view(deadline=42.0)) == 42.0


def test_waiting_is_worth_the_time_that_the_next_one_needs_more() -> None:
    rankings = {"a": Ranking(1.0), "b": Ranking(4.0)}
    assert patience(A, B, view(rankings)) == pytest.approx(3.0)
    assert patience(B, A, view(rankings)) == 0.25


def test_failures_make_the_next_one_slower() -> None:
    rankings = {"a": Ranking(1.0), "b": Ranking(1.0, failures=0.5)}
    assert patience(A, B, view(rankings)) == pytest.approx(1.0)


def test_a_cent_is_worth_a_second() -> None:
    cheap = candidate("a", input_price=1.0, output_price=1.0)
    dear = candidate("b", input_price=11.0, output_price=1.0)
    seen = view(input_tokens=2000)
    assert patience(cheap, dear, seen) == pytest.approx(2.0)
    assert patience(dear, cheap, seen) == 0.25
    # An unknown price says nothing either way.
    assert patience(cheap, B, seen) == 0.25


def test_a_cached_prefix_is_worth_waiting_for() -> None:
    rankings = {"a": Ranking(4.0), "b": Ranking(4.0)}
    seen = view(rankings, input_tokens=10_000)
    assert patience(A, B, seen, cached=True) == pytest.approx(2.0)
    one, two = (candidate(name, input_price=2.0, output_price=2.0) for name in "ab")
    assert patience(one, two, seen, cached=True) == pytest.approx(3.0)


def test_when_the_next_one_is_closed_for_a_while_there_is_as_much_time_here() -> None:
    assert patience(A, B, view(None, {"b": Load(closed_until=5.0)}, now=2.0)) == pytest.approx(3.0)


def test_no_wait_takes_more_than_a_quarter_of_the_time_or_ten_seconds() -> None:
    rankings = {"a": Ranking(1.0), "b": Ranking(400.0)}
    assert patience(A, B, view(rankings, deadline=20.0)) == 5.0
    assert patience(A, B, view(rankings, deadline=900.0)) == 10.0
    assert patience(A, B, view(rankings, deadline=0.6)) == 0.25
    assert patience(A, B, view(rankings, deadline=0.1)) == 0.1
    assert patience(A, B, view(rankings, now=5.0, deadline=4.0)) == 0.0


def test_it_is_late_when_less_is_left_than_such_a_request_takes() -> None:
    rankings = {"a": Ranking(1.0, usual=(0.5, 2.0, None, None))}
    assert not late(A, view(rankings, deadline=0.6, input_tokens=500))
    assert late(A, view(rankings, deadline=0.4, input_tokens=500))
    assert late(A, view(rankings, deadline=0.6, input_tokens=5000))
    # Nothing is known of so large ones, but they take no less than the smaller ones.
    assert late(A, view(rankings, deadline=1.9, input_tokens=100_000))
    assert not late(A, view(rankings, deadline=2.1, input_tokens=100_000))
    assert not late(B, view(rankings, deadline=0.001))

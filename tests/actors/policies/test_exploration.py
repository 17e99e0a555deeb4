"""What is never chosen is asked now and then, and never at the cost of a request that has no time for it."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from llm_dispatcher.actors.messages import Load, Ranking
from llm_dispatcher.actors.policies.exploration import Exploration

from .views import candidates, view


def firsts(times: int, every: float, rankings: Any = None, loads: Any = None, **route: Any) -> Counter[str]:
    """Who is asked first by so many requests, `every` so many seconds, when a policy always says a, b, c."""
    explore, rng, seen = Exploration(), random.Random(4), Counter[str]()
    for number in range(times):
        now = number * every
        seen[explore(candidates("abc"), view(rankings, loads, now=now, rng=rng, **route))[0].vendor] += 1
    return seen


def test_one_request_in_a_hundred_goes_elsewhere() -> None:
    seen = firsts(20_000, 0.001)
    assert 80 < seen["b"] + seen["c"] < 190


def test_each_is_asked_about_once_a_minute() -> None:
    # An hour at one request a second: 12 of 3600 by chance, the others because a minute has passed.
    seen = firsts(3600, 1.0)
    assert 50 <= seen["b"] <= 85
    assert 50 <= seen["c"] <= 85


def test_a_quiet_house_does_not_only_explore() -> None:
    seen = firsts(1000, 120.0)
    assert seen["b"] + seen["c"] < 140


def test_who_takes_no_traffic_is_left_alone() -> None:
    loads = {"b": Load(weight=0.1), "c": Load(closed_until=1e9)}
    assert firsts(3000, 1.0, None, loads)["a"] == 3000
    failing = {"b": Ranking(0.1, failures=0.6), "c": Ranking(None, failures=1.0)}
    assert firsts(3000, 1.0, failing)["a"] == 3000


def test_a_request_without_time_is_not_explored_with() -> None:
    """The deadlines are absolute, and only the first request's is near."""
    explore, rng = Exploration(), random.Random(4)
    rankings = {name: Ranking(1.0, usual=(2.0, 9.0, None, None)) for name in "abc"}
    for number in range(3000):
        seen = view(rankings, now=number, rng=rng, deadline=number + 5.9)
        assert explore(candidates("abc"), seen)[0].vendor == "a"
    roomy = Counter(
        explore(candidates("abc"), view(rankings, now=n, rng=rng, deadline=n + 6.1))[0].vendor
        for n in range(3000, 6000)
    )
    assert roomy["b"] > 30


def test_what_it_remembers_is_bounded() -> None:
    explore = Exploration(most=3)
    for name in "abcdefg":
        explore(candidates([name, "z"]), view())
    assert len(explore._asked) == 3

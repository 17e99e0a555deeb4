"""Who is fastest, and that being fastest does not mean being overrun."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable

import pytest
from llm_dispatcher.actors.messages import Load, Ranking
from llm_dispatcher.actors.policies import Candidate, Policy, View
from llm_dispatcher.actors.policies.latency import fastest, least_loaded

from .views import candidates, names, view


def first(policy: Policy, who: list[Candidate], seen: View) -> str:
    return policy(who, seen)[0].vendor


def test_the_one_that_answers_soonest_is_first() -> None:
    rankings = {"a": Ranking(2.0), "b": Ranking(0.5), "c": Ranking(1.0)}
    assert names(fastest(candidates("abc"), view(rankings))) == "bca"


def test_the_rest_of_the_answer_counts_as_well() -> None:
    rankings = {"a": Ranking(0.1, 0.1), "b": Ranking(1.0, 0.01)}
    assert names(fastest(candidates("ab"), view(rankings, output_tokens=200))) == "ba"
    assert names(fastest(candidates("ab"), view(rankings, output_tokens=5))) == "ab"


def test_requests_under_way_count_against_it() -> None:
    rankings = {"a": Ranking(0.5), "b": Ranking(1.0)}
    loads = {"a": Load(in_flight=3), "b": Load(in_flight=0)}
    assert names(fastest(candidates("ab"), view(rankings, loads))) == "ba"


def test_failing_fast_is_not_being_fast() -> None:
    rankings = {"a": Ranking(0.1, failures=0.95), "b": Ranking(1.0)}
    assert names(fastest(candidates("ab"), view(rankings))) == "ba"
    # Nor when it never succeeded, so that nothing is known but the failures.
    rankings = {"a": Ranking(None, failures=1.0), "b": Ranking(1.0)}
    assert names(fastest(candidates("ab"), view(rankings))) == "ba"


def test_an_unknown_one_is_tried_but_only_by_one_request_at_a_time() -> None:
    rankings = {"a": Ranking(1.0)}
    assert names(fastest(candidates("ab"), view(rankings))) == "ba"
    pending = {"b": Load(in_flight=1)}
    assert names(fastest(candidates("ab"), view(rankings, pending))) == "ab"


def test_a_full_one_comes_last_however_fast_it_looks() -> None:
    rankings = {"a": Ranking(0.1), "b": Ranking(50.0)}
    loads = {"a": Load(in_flight=4, limit=4.0), "b": Load(in_flight=1, limit=4.0)}
    assert names(fastest(candidates("ab"), view(rankings, loads))) == "ba"


def test_among_hot_ones_the_emptiest_is_first() -> None:
    rankings = {"a": Ranking(0.1), "b": Ranking(50.0)}
    loads = {"a": Load(in_flight=5, limit=4.0), "b": Load(in_flight=4, limit=4.0)}
    assert names(fastest(candidates("ab"), view(rankings, loads))) == "ba"


def test_one_much_fuller_than_the_others_is_not_chosen() -> None:
    who = candidates("abcdefghij")
    rankings = {each.vendor: Ranking(0.01 if each.vendor == "a" else 1.0) for each in who}
    loads = {each.vendor: Load(in_flight=2, limit=10.0) for each in who} | {
        "a": Load(in_flight=9, limit=10.0)
    }
    rng = random.Random(1)
    firsts = Counter(first(fastest, who, view(rankings, loads, rng=rng)) for _ in range(500))
    assert firsts["a"] == 0


def test_of_many_each_gets_its_chances_and_the_slow_few() -> None:
    who = candidates("abcdefghij")
    rankings = {each.vendor: Ranking(1.0 + index) for index, each in enumerate(who)}
    rng = random.Random(2)
    firsts = Counter(first(fastest, who, view(rankings, rng=rng)) for _ in range(4000))
    # The best of ten is among two drawn in a fifth of all draws, and the worst never wins.
    assert firsts["a"] == pytest.approx(800, rel=0.15)
    assert firsts["j"] == 0


def test_fallbacks_are_spread_over_all_the_others() -> None:
    who = candidates("abcdefghij")
    rng = random.Random(3)
    third = Counter(fastest(who, view(rng=rng))[2].vendor for _ in range(2000))
    assert min(third[each.vendor] for each in who) > 100


def simulate(policy: Policy, vendors: int, *, seed: int, stale: float) -> float:
    """The highest mean of requests in flight among equal vendors, in terms of the mean of all.

    Poisson arrivals, exponential service times; what is known of the loads is up to `stale` seconds old.
    """
    rng = random.Random(seed)
    who = candidates([chr(97 + index) for index in range(vendors)])
    in_flight = Counter[str]()
    area = Counter[str]()
    ends: list[tuple[float, str]] = []
    rankings = {each.vendor: Ranking(1.0) for each in who}
    now, told_at, seen = 0.0, -1.0, view(rankings)
    for _ in range(6000):
        step = rng.expovariate(vendors * 8.0)
        while ends and ends[0][0] <= now + step:
            in_flight[heapq.heappop(ends)[1]] -= 1
        now += step
        for each in who:
            area[each.vendor] += in_flight[each.vendor] * step  # type: ignore[assignment]  # a product with time
        if now - told_at >= stale:
            told_at = now
            loads = {each.vendor: Load(in_flight=in_flight[each.vendor], limit=50.0) for each in who}
            seen = view(rankings, loads, rng=rng, now=now)
        chosen = policy(who, seen)[0].vendor
        in_flight[chosen] += 1
        heapq.heappush(ends, (now + rng.expovariate(1.0), chosen))
    return max(area.values()) * vendors / sum(area.values())


@pytest.mark.slow
@pytest.mark.parametrize("policy", [fastest, least_loaded])
@pytest.mark.parametrize("vendors", [3, 10])
def test_equal_vendors_carry_equal_loads(policy: Callable[..., list[Candidate]], vendors: int) -> None:
    assert simulate(policy, vendors, seed=5, stale=0.0) <= 1.2
    # And with loads that are a tenth of a second old, for a tenth of what a request takes.
    assert simulate(policy, vendors, seed=6, stale=0.1) <= 1.5


def test_the_least_loaded_is_that_with_the_most_room() -> None:
    loads = {"a": Load(in_flight=5, limit=100.0), "b": Load(in_flight=2, limit=4.0), "c": Load(in_flight=3)}
    assert names(least_loaded(candidates("abc"), view(None, loads))) == "cab"


def test_chance_decides_between_equally_loaded_ones() -> None:
    rng = random.Random(9)
    firsts = Counter(first(least_loaded, candidates("abc"), view(rng=rng)) for _ in range(300))
    assert min(firsts.values()) > 70

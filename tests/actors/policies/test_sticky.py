"""Requests that begin alike go to one deployment, until there is a reason not to."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from llm_dispatcher.actors.messages import Load, Ranking
from llm_dispatcher.actors.policies import Candidate
from llm_dispatcher.actors.policies.standing import STANDINGS
from llm_dispatcher.actors.policies.sticky import Sticky, rendezvous

from .views import candidate, candidates, names, view

ALIKE = STANDINGS["least_loaded"]
FAST = STANDINGS["fastest"]


def ask(sticky: Sticky, who: str | list[Candidate], policy: str = "least_loaded", **seen: Any) -> str:
    """Who comes first of `who`, in the order that a policy gave."""
    ordered = candidates(who) if isinstance(who, str) else who
    return sticky(ordered, view(**{"prefix": 1, **seen}), STANDINGS[policy])[0].vendor


def shuffled(who: str, rng: random.Random) -> str:
    return "".join(rng.sample(who, len(who)))


def test_one_prefix_goes_to_one_deployment_whatever_the_order() -> None:
    sticky, rng = Sticky(), random.Random(1)
    for prefix in range(20):
        assert len({ask(sticky, shuffled("abcd", rng), prefix=prefix) for _ in range(10)}) == 1


def test_without_a_prefix_the_policy_has_its_way() -> None:
    ordered = candidates("ab")
    assert Sticky()(ordered, view(), ALIKE) is ordered


def test_nobody_is_lost() -> None:
    ordered = Sticky()(candidates("abcd"), view(prefix=3), ALIKE)
    assert sorted(names(ordered)) == list("abcd")


def test_prefixes_and_tenants_are_spread_evenly() -> None:
    sticky = Sticky()
    seen = Counter(ask(sticky, "abcd", prefix=number) for number in range(2000))
    assert min(seen.values()) > 420
    seen = Counter(ask(sticky, "abcd", tenant=str(number)) for number in range(2000))
    assert min(seen.values()) > 420


def test_weights_are_kept() -> None:
    sticky = Sticky()
    who = [candidate("a", weight=3.0), candidate("b", weight=1.0), candidate("c", weight=0.0)]
    seen = Counter(ask(sticky, who, "weighted", prefix=number) for number in range(4000))
    assert seen["a"] == pytest.approx(3000, rel=0.05)
    assert seen["c"] == 0


def test_when_one_goes_only_its_own_prefixes_move() -> None:
    before = {prefix: ask(Sticky(), "abcd", prefix=prefix) for prefix in range(300)}
    after = {prefix: ask(Sticky(), "abd", prefix=prefix) for prefix in range(300)}
    assert all(before[prefix] in ("c", after[prefix]) for prefix in before)


def test_another_process_prefers_the_same() -> None:
    code = "from llm_dispatcher.actors.policies.sticky import rendezvous; print(rendezvous(12345, 'a/m'))"
    seen = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True
    )
    assert int(seen.stdout) == rendezvous(12345, "a/m")


def home_of(sticky: Sticky, **seen: Any) -> tuple[str, str]:
    """Where the prefix lives, and another one of the two."""
    home = ask(sticky, "ab", **seen)
    return home, "b" if home == "a" else "a"


def test_a_small_difference_does_not_move_it_and_a_large_one_does() -> None:
    sticky = Sticky()
    home, other = home_of(sticky)
    order = other + home
    assert ask(sticky, order, "fastest", rankings={home: Ranking(1.9), other: Ranking(1.0)}) == home
    assert ask(sticky, order, "fastest", rankings={home: Ranking(2.1), other: Ranking(1.0)}) == other
    # Its cache is there now, and so it stays there.
    assert ask(sticky, order[::-1], "fastest", rankings={home: Ranking(1.0), other: Ranking(1.9)}) == other


@pytest.mark.parametrize("out", [Load(weight=0.0), Load(weight=0.5), Load(closed_until=1.0)])
def test_it_leaves_a_deployment_that_takes_no_traffic(out: Load) -> None:
    sticky = Sticky()
    home, other = home_of(sticky)
    assert ask(sticky, home + other, loads={home: out}) == other
    assert ask(sticky, home + other) == other


def test_a_limit_that_lifts_in_a_moment_is_waited_for() -> None:
    sticky = Sticky()
    home, other = home_of(sticky)
    assert ask(sticky, other + home, loads={home: Load(closed_until=0.2)}) == home


def test_when_the_cache_has_gone_cold_the_prefix_has_no_home() -> None:
    sticky = Sticky()
    home, other = home_of(sticky)
    moved = {home: Load(weight=0.0)}
    assert ask(sticky, "ab", loads=moved) == other
    assert ask(sticky, "ab", now=299.0) == other
    # Each use renews it.
    assert ask(sticky, "ab", now=598.0) == other
    assert sticky.home(view(prefix=1, now=600.0)) == f"{other}/m"
    assert sticky.home(view(prefix=1, now=900.0)) is None
    assert ask(sticky, "ab", now=900.0) == home


def test_a_crowded_home_passes_requests_on_but_stays_home() -> None:
    sticky = Sticky()
    home, other = home_of(sticky)
    crowded = {home: Load(in_flight=20), other: Load(in_flight=4)}
    assert ask(sticky, home + other, loads=crowded) == other
    assert ask(sticky, home + other, loads={home: Load(in_flight=12), other: Load(in_flight=10)}) == home
    # A few are never a crowd.
    assert ask(sticky, home + other, loads={home: Load(in_flight=3)}) == home


def test_no_deployment_carries_much_more_than_its_equals_for_one_popular_prefix() -> None:
    sticky, in_flight = Sticky(), Counter[str]()
    for _ in range(100):
        loads = {name: Load(in_flight=in_flight[name]) for name in "abcd"}
        in_flight[ask(sticky, "abcd", loads=loads)] += 1
    assert max(in_flight.values()) <= 1.25 * 25 + 1
    assert min(in_flight.values()) > 0


def test_a_retry_or_a_hedge_does_not_move_the_prefix() -> None:
    sticky = Sticky()
    home, other = home_of(sticky)
    third = candidates(other + "c")
    for elsewhere in ({"tried": (f"{home}/m",)}, {"hedge": home}):
        ask(sticky, third, **elsewhere)
        assert sticky.home(view(prefix=1)) == f"{home}/m"


def test_a_dearer_or_a_worse_one_is_no_equal() -> None:
    cheap = [candidate(name, input_price=price, output_price=1.0) for name, price in (("a", 1.0), ("b", 9.0))]
    good = [candidate("a", quality=0.9), candidate("b", quality=0.5)]
    for prefix in range(30):
        assert ask(Sticky(), cheap, "cheapest", prefix=prefix, input_tokens=5000) == "a"
        assert ask(Sticky(), good, "best", prefix=prefix) == "a"


def test_what_it_remembers_is_bounded_and_the_oldest_is_forgotten() -> None:
    sticky = Sticky(most=10)
    for prefix in range(50):
        ask(sticky, "ab", prefix=prefix)
    assert len(sticky._homes) == 10
    assert sticky.home(view(prefix=49)) is not None
    assert sticky.home(view(prefix=0)) is None

"""All of it together: nobody is lost, and each part leaves the others alone."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.messages import Load, Ranking
from llm_dispatcher.actors.policies import POLICIES, Ordering
from llm_dispatcher.actors.policies.ordering import EXPLORED
from llm_dispatcher.actors.policies.standing import STANDINGS

from .views import candidate, candidates, names, view

NUMBER = st.none() | st.floats(0, 100)
LOADS = st.builds(
    Load,
    in_flight=st.integers(0, 60),
    limit=st.sampled_from([0.5, 1.0, 20.0, math.inf]),
    weight=st.sampled_from([0.0, 0.1, 1.0]),
    closed_until=st.sampled_from([-math.inf, 0.1, 50.0]),
)
RANKINGS = st.builds(
    Ranking,
    first_token=NUMBER,
    per_token=NUMBER,
    failures=st.floats(0, 1),
    usual=st.sampled_from([(), (1.0, None, 3.0, None)]),
)


@given(
    who=st.lists(st.sampled_from("abcdefghijkl"), unique=True, max_size=12),
    policy=st.sampled_from(sorted(POLICIES)),
    rankings=st.dictionaries(st.sampled_from("abcdefghijkl"), RANKINGS),
    loads=st.dictionaries(st.sampled_from("abcdefghijkl"), LOADS),
    prefix=st.none() | st.integers(0, 2**64),
    prices=st.lists(NUMBER, min_size=12, max_size=12),
    weights=st.lists(st.sampled_from([0.0, 0.5, 3.0]), min_size=12, max_size=12),
    seed=st.integers(0, 99),
)
def test_every_ordering_is_of_just_what_was_given(
    who: list[str],
    policy: str,
    rankings: dict[str, Ranking],
    loads: dict[str, Load],
    prefix: int | None,
    prices: list[float | None],
    weights: list[float],
    seed: int,
) -> None:
    given_ = [
        candidate(name, input_price=prices[at], output_price=prices[-at], weight=weights[at])
        for at, name in enumerate(who)
    ]
    ordering, rng = Ordering(POLICIES), random.Random(seed)
    for now in (0.0, 0.0, 400.0):
        seen = view(rankings, loads, now=now, rng=rng, prefix=prefix, input_tokens=100)
        assert sorted(names(ordering(policy, given_, seen))) == sorted(who)


def test_a_cached_prefix_does_not_bring_back_one_that_is_out() -> None:
    ordering = Ordering(POLICIES)
    for prefix in range(20):
        seen = view(None, {"a": Load(weight=0.0)}, prefix=prefix)
        assert names(ordering("least_loaded", candidates("ab"), seen)) == "ba"


def test_a_strict_order_stays_one() -> None:
    ordering, rng = Ordering(POLICIES), random.Random(0)
    for prefix in range(200):
        assert names(ordering("priority", candidates("abc"), view(prefix=prefix, rng=rng))) == "abc"


def test_an_applications_own_policy_is_taken_at_its_word() -> None:
    ordering = Ordering({"mine": lambda found, seen: list(reversed(found))})
    assert names(ordering("mine", candidates("abc"), view(prefix=5))) == "cba"


def test_the_tables_name_policies_that_exist() -> None:
    assert set(STANDINGS) <= set(POLICIES)
    assert set(EXPLORED) <= set(POLICIES)

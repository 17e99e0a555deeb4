"""What is kept between two publications changes no order."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.actors.messages import Load, Ranking, Route
from llm_dispatcher.actors.policies import POLICIES, Candidate, Memo, Ordering, View
from llm_dispatcher.actors.policies.quality import _size

from .views import candidate

NAMES = "abcdefgh"
RANKINGS = st.builds(
    Ranking,
    first_token=st.none() | st.floats(0.1, 5),
    per_token=st.none() | st.floats(0, 0.1),
    failures=st.sampled_from([0.0, 0.2, 1.0]),
)


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Candidate, ...]:
    """Candidates of the kinds that a policy treats differently."""
    prices, weights = st.none() | st.floats(0, 50), st.sampled_from([0.0, 1.0, 1.0, 3.0])
    return tuple(
        [
            candidate(
                name,
                quality=draw(st.sampled_from([0.3, 0.5, 0.9])),
                input_price=draw(prices),
                output_price=draw(prices),
                weight=draw(weights),
            )
            for name in NAMES[: draw(st.integers(1, len(NAMES)))]
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("policy", sorted(POLICIES))
@given(crowd=crowds(), data=st.data())
@settings(max_examples=10, deadline=None)
def test_with_or_without_a_memo_the_order_is_the_same(
    policy: str, crowd: tuple[Candidate, ...], data: st.DataObject
) -> None:
    rankings = {each.deployment: data.draw(RANKINGS) for each in crowd}
    loads = {each.deployment: Load(weight=data.draw(st.sampled_from([1.0, 1.0, 0.5, 0.0]))) for each in crowd}
    reduced = {name for name, load in loads.items() if load.weight < 1}
    kept, memo = Ordering(POLICIES), Memo()
    anew = Ordering(POLICIES)
    for turn, tokens in enumerate(data.draw(st.lists(st.sampled_from([0, 1, 99, 100, 5000]), max_size=6))):
        kinds = data.draw(st.sampled_from([frozenset[str](), frozenset({"tools"})]))
        route = Route(model="m", deadline=100.0, input_tokens=tokens, output_tokens=turn * 100, kinds=kinds)
        one, other = random.Random(turn), random.Random(turn)
        quick = kept(policy, crowd, View(route, rankings, loads, turn, one, 0.0, reduced, memo))
        slow = anew(policy, list(crowd), View(route, rankings, loads, turn, other, 0.0))
        assert quick == slow
        assert one.random() == other.random()


def test_only_the_very_same_tuple_is_known_again() -> None:
    memo, calls = Memo(), list[Any]()

    def make() -> int:
        calls.append(None)
        return len(calls)

    several = tuple(range(5))
    assert [memo.get("a", several, make), memo.get("a", several, make), memo.get("b", several, make)] == [
        1,
        1,
        2,
    ]
    assert memo.get("a", (*several,), make) == 3
    assert [memo.get("a", [*several], make) for _ in range(2)] == [4, 5]
    assert [memo.get("a", several[:2], make) for _ in range(2)] == [6, 7]


def test_a_memo_does_not_grow_without_end() -> None:
    memo, several = Memo(), tuple(range(5))
    for number in range(5000):
        memo.get(number, several, lambda: 0)
    assert len(memo._found) <= 1000


@pytest.mark.parametrize("tokens", [0, 1, 7, 15, 16, 17, 100, 1000, 99_999])
def test_a_request_is_as_good_a_bargain_as_one_of_about_its_size(tokens: int) -> None:
    route = Route(model="m", deadline=1.0, input_tokens=tokens)
    _, rounded, output = _size(View(route, {}, {}, 0, random.Random(0), 0.0))
    assert abs(rounded - tokens) <= tokens / 16
    assert output == 300

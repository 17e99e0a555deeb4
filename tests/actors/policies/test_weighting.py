"""A deployment that was out gets its traffic back by degrees, whatever the policy."""

from __future__ import annotations

import random

import pytest
from llm_dispatcher.actors.messages import Load
from llm_dispatcher.actors.policies.weighting import weighting

from .views import candidates, names, view


def test_full_weights_change_nothing() -> None:
    ordered = candidates("abc")
    assert weighting(ordered, view(None, {"a": Load(), "b": Load(weight=1.0)})) is ordered


@pytest.mark.parametrize("weight", [0.1, 0.5, 0.9])
def test_it_keeps_its_place_as_often_as_its_weight_says(weight: float) -> None:
    rng = random.Random(1)
    seen = view(None, {"a": Load(weight=weight)}, rng=rng)
    firsts = [names(weighting(candidates("abc"), seen)) for _ in range(4000)]
    assert set(firsts) == {"abc", "bca"}
    assert firsts.count("abc") / 4000 == pytest.approx(weight, abs=0.03)


def test_one_without_weight_comes_last_of_all() -> None:
    seen = view(None, {"a": Load(weight=0.0), "b": Load(weight=1e-9)})
    assert names(weighting(candidates("abc"), seen)) == "cba"
    assert names(weighting(candidates("ab"), view(None, {name: Load(weight=0.0) for name in "ab"}))) == "ab"

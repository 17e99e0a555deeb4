"""Whom an operator means: a vendor, a model there, or a model under one of several keys."""

from __future__ import annotations

import pytest
from llm_dispatcher.runtime.orders import OrderRefused, deployments_of

VENDORS = {"a": ["a/m", "a/m#2", "a/n", "a/org/m"], "b": ["b/m"]}


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("a", ("a", ())),
        ("a/", ("a", ())),
        ("a/m", ("a", ("a/m", "a/m#2"))),
        ("a/m#1", ("a", ("a/m",))),
        ("a/m#2", ("a", ("a/m#2",))),
        ("a/n", ("a", ("a/n",))),
        ("a/org/m", ("a", ("a/org/m",))),
        ("b/m#1", ("b", ("b/m",))),
    ],
)
def test_a_target_names_a_vendor_or_its_deployments(target: str, meant: tuple[str, tuple[str, ...]]) -> None:
    assert deployments_of(target, VENDORS) == meant


@pytest.mark.parametrize("target", ["", "c", "m", "a/x", "a/m#3", "b/m#2", "b/n", "A"])
def test_who_is_not_there_is_answered_with_who_is(target: str) -> None:
    with pytest.raises(OrderRefused, match="a, b, a/m, a/m#2, a/n, a/org/m, b/m") as refused:
        deployments_of(target, VENDORS)
    assert refused.value.status == 404

"""Candidates and views for the tests of policies."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

from llm_dispatcher.actors.messages import Load, Ranking, Route
from llm_dispatcher.actors.policies import Candidate, View


def candidate(name: str, **more: Any) -> Candidate:
    """The deployment of model `m` by vendor `name`."""
    return Candidate(deployment=f"{name}/m", vendor=name, model="m", **more)


def candidates(names: Iterable[str]) -> list[Candidate]:
    return [candidate(name) for name in names]


def view(
    rankings: Mapping[str, Ranking] | None = None,
    loads: Mapping[str, Load] | None = None,
    *,
    now: float = 0.0,
    rng: random.Random | None = None,
    turn: int = 0,
    **route: Any,
) -> View:
    """What a policy sees, with rankings and loads by vendor."""
    return View(
        Route(**{"model": "m", "deadline": now + 100.0, **route}),
        {f"{name}/m": each for name, each in (rankings or {}).items()},
        {f"{name}/m": each for name, each in (loads or {}).items()},
        turn,
        rng or random.Random(0),
        now,
    )


def names(ordered: Iterable[Candidate]) -> str:
    """The vendors in order, as one string: they have one letter each."""
    return "".join([each.vendor for each in ordered])

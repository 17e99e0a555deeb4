"""When the parent starts a worker again, and when it gives up; in virtual time, with workers that are told how to live."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import trio
from llm_dispatcher.runtime.wire.listening import Address
from llm_dispatcher.runtime.workers.parent import Parent, _Worker
from llm_dispatcher.runtime.workers.sockets import Place

from .test_parts import REAL, loaded


class Told(Parent):
    """Its workers live as `life` says: so many seconds and whether they serve, by their number and how often they lived before."""

    def __init__(self, life: Callable[[int, int], tuple[float, bool]], code: int = 7) -> None:
        places = [Place(Address(), [], own=False) for _ in range(2)]
        super().__init__(loaded(REAL), "critical", places, random.Random(1))
        self.begun: list[tuple[int, float]] = []
        self._life = life
        self._code = code

    async def _live(self, worker: _Worker) -> bool:
        seconds, serves = self._life(worker.number, len(self.lives_of(worker.number)))
        self.begun.append((worker.number, trio.current_time()))
        if serves:
            worker.serving = True
            worker.ready.set()
        with trio.move_on_after(seconds):
            await self._stopping.wait()
        worker.serving, worker.code = False, self._code
        return serves

    def lives_of(self, number: int) -> list[float]:
        return [at for each, at in self.begun if each == number]


async def test_a_worker_that_fails_at_the_very_start_is_not_tried_again_nor_are_the_others(
    autojump_clock: Any,
) -> None:
    parent = Told(lambda _number, _lives: (1.0, False), code=2)
    assert await parent.run() == 2
    assert parent.begun == [(1, 0.0)]


async def test_a_worker_that_dies_is_started_again_at_once_and_then_with_pauses(autojump_clock: Any) -> None:
    parent = Told(lambda number, _lives: (5.0 if number == 1 else 1e6, True))
    with trio.move_on_after(300):
        await parent.run()
    begun = parent.lives_of(1)
    pauses = [after - before - 5.0 for before, after in pairwise(begun)]
    assert pauses[0] == pytest.approx(0.0, abs=1e-6)
    assert max(pauses) > 0.2
    assert parent.lives_of(2) == [0.0]


async def test_while_one_worker_serves_the_other_is_started_for_ever_but_ever_more_seldom(
    autojump_clock: Any,
) -> None:
    ways = {1: (1e6, True), 2: (0.1, False)}
    parent = Told(lambda number, lives: ways[number] if lives or number == 1 else (3.0, True))
    with trio.move_on_after(3600) as scope:
        await parent.run()
    assert scope.cancelled_caught
    assert 3600 / 31 < len(parent.lives_of(2)) < 3600 / 5


async def test_when_none_serves_and_starts_go_on_failing_the_parent_gives_up(autojump_clock: Any) -> None:
    parent = Told(lambda _number, lives: (10.0, True) if not lives else (0.1, False))
    assert await parent.run() == 7
    assert 5 <= len(parent.begun) - 2 <= 7

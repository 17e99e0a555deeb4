"""A client is slow by what it moves while we wait for it, and by nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.wire.pace import Pace

moves = st.lists(st.tuples(st.integers(0, 4000), st.sampled_from([0.0, 0.5, 1.0, 2.5, 7.0])), max_size=60)


@given(moves=moves)
def test_it_is_cut_in_a_window_of_waiting_that_moved_too_little(moves: list[tuple[int, float]]) -> None:
    pace = Pace(stall=5.0, rate=100.0, window=10.0)
    window: list[tuple[int, float]] = []
    for count, waited in moves:
        patience = pace.patience()
        moved_before = sum(each for each, _ in window)
        waited_before = sum(each for _, each in window)
        assert 0 < patience <= 5.0
        assert patience == 5.0 if moved_before >= 1000 else patience == min(5.0, 10.0 - waited_before)
        window.append((count, waited))
        if sum(each for _, each in window) < 10.0:
            assert pace.moved(count, waited)
            continue
        assert pace.moved(count, waited) == (sum(each for each, _ in window) >= 1000)
        window = []


def test_a_vendor_that_has_little_to_say_makes_no_client_slow() -> None:
    pace = Pace(stall=30.0, rate=1024.0, window=60.0)
    assert all(pace.moved(10, 0.0) for _ in range(100_000))
    assert pace.patience() == 30.0

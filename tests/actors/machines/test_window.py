"""The rolling window against a list of everything that was counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.machines.window import RollingWindow

EVENTS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.5, 1.0, 1.5, 4.0, 9.0]), st.sampled_from(["good", "bad"]), st.integers(1, 3)
    ),
    max_size=40,
)


@given(events=EVENTS, begin=st.sampled_from([-7.3, 0.0, 1e6]), later=st.sampled_from([0.0, 1.0, 2.5, 20.0]))
def test_it_counts_what_lies_in_the_running_slice_and_the_whole_ones_before(
    events: list[tuple[float, str, int]], begin: float, later: float
) -> None:
    window, now, seen = RollingWindow(4.0, 4, ("good", "bad")), begin, list[tuple[int, str, int]]()
    for step, name, amount in events:
        now += step
        window.add(name, now, amount)
        seen.append((int(now // 1.0), name, amount))
    now += later
    for name in ("good", "bad"):
        expected = sum(n for tick, kind, n in seen if kind == name and int(now // 1.0) - tick < 4)
        assert window.count(name, now) == expected
    assert window.total(now) == sum(window.counts(now).values())


@given(events=EVENTS)
def test_looking_ahead_changes_nothing(events: list[tuple[float, str, int]]) -> None:
    looked, blind = RollingWindow(4.0, 4, ("good", "bad")), RollingWindow(4.0, 4, ("good", "bad"))
    now = 0.0
    for step, name, amount in events:
        now += step
        looked.counts(now + 100)
        looked.add(name, now, amount)
        blind.add(name, now, amount)
        assert looked.counts(now) == blind.counts(now)


def test_a_share_is_of_everything_counted_and_zero_when_nothing_was() -> None:
    window = RollingWindow(10, 10, ("good", "bad"))
    assert window.share("bad", 0) == 0
    window.add("good", 0, 3)
    window.add("bad", 0)
    assert window.share("bad", 0) == 0.25
    assert window.share("bad", 10) == 0


def test_time_that_runs_backwards_counts_in_the_running_slice() -> None:
    window = RollingWindow(2, 2, ("good",))
    window.add("good", 10)
    window.add("good", 3)
    assert window.count("good", 10) == window.count("good", 3) == 2
    assert window.count("good", 12) == 0


def test_clearing_forgets_and_counting_goes_on() -> None:
    window = RollingWindow(2, 2, ("good",))
    window.add("good", 1)
    window.clear()
    assert window.total(1) == 0
    window.add("good", 1)
    assert window.total(1) == 1


def test_a_window_without_length_or_a_name_without_counter_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a length"):
        RollingWindow(0, 1, ("good",))
    with pytest.raises(ValueError, match="needs a length"):
        RollingWindow(1, 0, ("good",))
    with pytest.raises(KeyError):
        RollingWindow(1, 1, ("good",)).add("bad", 0)

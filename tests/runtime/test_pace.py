"""How long a vendor may keep a stream waiting."""

from __future__ import annotations

from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime.pace import DRIP_WINDOW, Pace


def drip(pace: Pace, every: float) -> tuple[float, FaultClass]:
    """Content `every` so many seconds, until patience ends: when that is, counted from the first content."""
    pace.content(1)
    while pace.left > every:
        pace.passed(every)
        pace.content(1)
        if pace.clock > 1e6:
            break
    pace.passed(pace.left)
    return pace.clock, pace.overrun


def test_before_the_first_content_only_that_is_waited_for() -> None:
    pace = Pace(60.0, 30.0, 0.2)
    pace.passed(59.0)
    assert (pace.left, pace.overrun) == (1.0, FaultClass.TTFT_TIMEOUT)


def test_silence_after_content_is_a_stall() -> None:
    pace = Pace(60.0, 30.0, 0.2)
    pace.passed(50.0)
    pace.content(3)
    pace.passed(29.5)
    assert (pace.left, pace.overrun) == (0.5, FaultClass.STALLED)


def test_less_than_one_content_in_five_seconds_over_a_minute_is_a_drip() -> None:
    clock, overrun = drip(Pace(60.0, 30.0, 0.2), every=5.5)
    assert (clock, overrun) == (DRIP_WINDOW, FaultClass.SLOW_DRIP)


def test_one_content_in_five_seconds_is_enough() -> None:
    clock, _ = drip(Pace(60.0, 30.0, 0.2), every=4.9)
    assert clock > 1e6


def test_a_quick_beginning_does_not_excuse_a_drip_for_ever() -> None:
    pace = Pace(60.0, 30.0, 0.2)
    for _ in range(500):
        pace.passed(0.01)
        pace.content(1)
    clock, overrun = drip(pace, every=10.0)
    assert overrun is FaultClass.SLOW_DRIP
    assert 5.0 + 45.0 <= clock <= 5.0 + DRIP_WINDOW


def test_contents_that_come_together_count_each() -> None:
    pace = Pace(60.0, 30.0, 0.2)
    pace.content(1)
    for _ in range(100):
        pace.passed(25.0)
        pace.content(6)
    assert pace.left == 30.0


def test_any_pace_will_do_when_none_is_asked_for() -> None:
    clock, _ = drip(Pace(60.0, 30.0, 0.0), every=29.0)
    assert clock > 1e6


def test_time_in_which_nobody_reads_does_not_count() -> None:
    pace = Pace(60.0, 30.0, 0.2)
    pace.content(1)
    assert (pace.clock, pace.left) == (0.0, 30.0)

"""The timeline keeps every sum, however long a run lasts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.benchmarks.load.timeline import MOST_SLOTS, Timeline


@settings(max_examples=30, deadline=None)
@given(moments=st.lists(st.floats(-1, 1e6), max_size=50))
def test_nothing_is_lost_and_every_moment_lies_in_its_slot(moments: list[float]) -> None:
    timeline = Timeline()
    for moment in moments:
        timeline.at(moment).ok += 1
    assert sum(slot.ok for slot in timeline.slots) == len(moments)
    assert len(timeline.slots) <= MOST_SLOTS
    for number, slot in enumerate(timeline.slots):
        within = [each for each in moments if int(max(0.0, each) / timeline.width) == number]
        assert slot.ok == len(within)


def test_slots_only_widen_when_they_must() -> None:
    timeline = Timeline()
    timeline.at(MOST_SLOTS * 0.5 - 0.01)
    assert timeline.width == 0.5
    timeline.at(MOST_SLOTS * 0.5)
    assert timeline.width == 1.0

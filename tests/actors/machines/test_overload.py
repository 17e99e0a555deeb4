"""Overload control enters a stage at once, leaves it only after a calm time, and never refuses the wrong class first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.machines.overload import CRITICALITIES, STAGES, Overload

MARGIN, CALM = 0.05, 2.0
EDGES = sorted({*STAGES, *(stage - MARGIN for stage in STAGES)})

pressures = st.one_of(
    st.floats(0, 1.2), st.sampled_from(EDGES), st.sampled_from(EDGES).map(lambda x: x - 1e-9)
)
histories = st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 5.0]), pressures), max_size=40)


def slowly(history: list[tuple[float, float]]) -> int:
    """The stage after `history` (time, pressure), from the whole of it: an obvious model."""
    stage = 0
    for threshold in STAGES:
        entered = [index for index, (_, pressure) in enumerate(history) if pressure >= threshold]
        if not entered:
            continue
        calm_since: float | None = None
        left = False
        for time, pressure in history[entered[-1] + 1 :]:
            if pressure >= threshold - MARGIN:
                calm_since = None
            elif calm_since is None:
                calm_since = time
            left = left or (calm_since is not None and time - calm_since >= CALM)
        stage += not left
    return stage


@given(steps=histories)
def test_the_stage_is_what_the_whole_history_says(steps: list[tuple[float, float]]) -> None:
    overload = Overload(margin=MARGIN, calm=CALM)
    now = 0.0
    history: list[tuple[float, float]] = []
    for wait, pressure in steps:
        now += wait
        history.append((now, pressure))
        assert overload.observe({"lag": pressure / 2, "memory": pressure}, now) == slowly(history)
        served = [overload.admits(each) for each in CRITICALITIES]
        assert served == sorted(served, reverse=True), "a lower class is never served before a higher one"
        assert served[0], "the highest class is always served"


def test_the_stages_shed_one_class_after_another() -> None:
    overload = Overload()
    served = []
    for pressure in (0.84, 0.85, 0.9, 0.95, 3.0):
        overload.observe({"memory": pressure}, 0.0)
        served.append([each for each in CRITICALITIES if overload.admits(each)])
    assert served == [
        ["critical_plus", "critical", "sheddable_plus", "sheddable"],
        ["critical_plus", "critical", "sheddable_plus"],
        ["critical_plus", "critical"],
        ["critical_plus"],
        ["critical_plus"],
    ]


def test_a_pressure_that_swings_around_a_threshold_does_not_flap() -> None:
    overload = Overload()
    stages = [overload.observe({"lag": 0.8 if tick % 2 else 0.86}, tick * 0.5) for tick in range(50)]
    assert set(stages) == {1}


def test_it_recovers_two_seconds_after_the_pressure_has_gone() -> None:
    overload = Overload()
    assert overload.observe({"lag": 1.0, "memory": 0.2}, 10.0) == 3
    assert overload.statistics().greatest == "lag"
    assert [overload.observe({"lag": 0.1, "memory": 0.2}, now) for now in (11.0, 12.0, 12.9, 13.0)] == [
        3,
        3,
        3,
        0,
    ]
    assert overload.statistics().greatest == "memory"


def test_without_any_signal_everything_is_served() -> None:
    overload = Overload()
    assert overload.observe({}, 0.0) == 0
    assert overload.statistics().greatest == ""


@pytest.mark.parametrize("stages", [(0.9, 0.85, 0.95), (0.01, 0.5, 0.9)])
def test_thresholds_that_make_no_sense_are_refused(stages: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="stages rise"):
        Overload(stages)

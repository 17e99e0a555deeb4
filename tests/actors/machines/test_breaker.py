"""The circuit breaker's promises, one by one, with the figures it ships with."""

import copy
import math
import random

import pytest
from llm_dispatcher.actors.machines.breaker import (
    TRANSITIONS,
    BreakerSettings,
    Cause,
    CircuitBreaker,
    Permit,
    Refusal,
    State,
    Verdict,
)
from llm_dispatcher.actors.machines.breaker_states import PROBE_MEANING
from llm_dispatcher.actors.machines.probes import LAPSED_KEPT, ProbeTurns

RNG = random.Random(1)


def admitted(breaker: CircuitBreaker, now: float, *, panic: bool = False) -> Permit:
    permit = breaker.admit(now, RNG, panic=panic)
    assert isinstance(permit, Permit)
    return permit


def refused(breaker: CircuitBreaker, now: float) -> Refusal:
    refusal = breaker.admit(now, RNG)
    assert isinstance(refusal, Refusal)
    return refusal


def tell(
    breaker: CircuitBreaker, verdict: Verdict, now: float, times: int = 1, *, slow: bool = False
) -> None:
    for _ in range(times):
        breaker.settle(admitted(breaker, now), verdict, now, RNG, slow=slow)


def state_of(breaker: CircuitBreaker) -> State:
    """The state as it is now; spelt as a call so that a type checker does not remember the last one."""
    return breaker.state


def opened(now: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker()
    tell(breaker, Verdict.FAILURE, now, 5)
    assert state_of(breaker) is State.OPEN
    return breaker


def half_open(now: float = 0.0) -> tuple[CircuitBreaker, float]:
    breaker = opened(now)
    return breaker, breaker.until


def test_five_failures_in_a_row_open_it_and_four_do_not() -> None:
    breaker = CircuitBreaker()
    tell(breaker, Verdict.FAILURE, 0, 4)
    tell(breaker, Verdict.SUCCESS, 0)
    tell(breaker, Verdict.FAILURE, 0, 4)
    assert state_of(breaker) is State.CLOSED
    assert opened().history[-1].cause is Cause.CONSECUTIVE


def test_a_vendor_that_fails_every_other_call_opens_it_by_rate_within_the_window() -> None:
    breaker = CircuitBreaker()
    for second in range(0, 10, 2):
        assert state_of(breaker) is State.CLOSED
        tell(breaker, Verdict.SUCCESS, second)
        tell(breaker, Verdict.FAILURE, second)
    change = breaker.history[-1]
    assert change.cause is Cause.FAILURE_RATE
    assert (change.counts.success, change.counts.failure) == (5, 5)


def test_old_failures_leave_the_window_and_do_not_count() -> None:
    breaker = CircuitBreaker()
    for verdict in [Verdict.FAILURE, Verdict.FAILURE, Verdict.SUCCESS] * 3:
        tell(breaker, verdict, 0.0)
    tell(breaker, Verdict.FAILURE, 31.0)
    assert state_of(breaker) is State.CLOSED


def test_streams_cut_short_open_it_at_a_fifth_of_ten() -> None:
    breaker = CircuitBreaker()
    permits = [admitted(breaker, 0) for _ in range(11)]
    for permit in permits:
        breaker.settle(permit, Verdict.SUCCESS, 0, RNG)
    for permit in permits[:8]:
        breaker.settle(permit, Verdict.STREAM_OK, 20, RNG)
    breaker.settle(permits[8], Verdict.STREAM_BROKEN, 20, RNG)
    assert state_of(breaker) is State.CLOSED
    change = breaker.settle(permits[9], Verdict.STREAM_BROKEN, 20, RNG)
    assert change is not None
    assert change.cause is Cause.STREAMS


def test_rate_limits_never_open_it_however_many() -> None:
    breaker = CircuitBreaker()
    tell(breaker, Verdict.RATE_LIMITED, 0, 1000)
    assert state_of(breaker) is State.CLOSED
    tell(breaker, Verdict.FAILURE, 0, 4)
    tell(breaker, Verdict.RATE_LIMITED, 0)
    assert state_of(breaker) is State.CLOSED
    tell(breaker, Verdict.FAILURE, 0)
    assert state_of(breaker) is State.OPEN


def test_while_open_everyone_is_told_when_to_return() -> None:
    breaker = opened(100.0)
    refusal = refused(breaker, 101.0)
    assert refusal.state is State.OPEN
    assert 104.0 <= refusal.until <= 106.0


def test_open_times_double_with_jitter_up_to_the_cap() -> None:
    lengths: dict[int, list[float]] = {}
    for seed in range(200):
        rng, breaker, now = random.Random(seed), opened(), 0.0
        for opening in range(9):
            lengths.setdefault(opening, []).append(breaker.until - now)
            now = breaker.until
            breaker.settle(admitted(breaker, now), Verdict.FAILURE, now, rng)
    for opening in range(1, 9):
        nominal = min(300.0 / 1.2, 5.0 * 2**opening)
        assert nominal * 0.8 <= min(lengths[opening]) < nominal * 0.83
        assert nominal * 1.17 < max(lengths[opening]) <= nominal * 1.2 + 1e-9 <= 300 + 1e-6


def test_it_stays_open_at_least_as_long_as_the_vendor_asked() -> None:
    breaker = CircuitBreaker()
    tell(breaker, Verdict.FAILURE, 0, 4)
    breaker.settle(admitted(breaker, 0), Verdict.FAILURE, 0, RNG, retry_at=77.0)
    assert breaker.until == 77.0


def test_a_hint_without_end_is_not_believed() -> None:
    breaker = CircuitBreaker()
    tell(breaker, Verdict.FAILURE, 0, 4)
    breaker.settle(admitted(breaker, 0), Verdict.FAILURE, 0, RNG, retry_at=math.inf)
    assert breaker.until <= 6.0


def heal(breaker: CircuitBreaker, now: float) -> None:
    for _ in range(3):
        breaker.settle(admitted(breaker, now), Verdict.SUCCESS, now, RNG)
    assert state_of(breaker) is State.CLOSED


def test_ten_minutes_closed_make_the_next_opening_a_first_one() -> None:
    breaker, now = half_open()
    heal(breaker, now)
    tell(breaker, Verdict.FAILURE, now + 599, 5)
    assert 8 <= breaker.until - (now + 599) <= 12
    now = breaker.until
    heal(breaker, now)
    tell(breaker, Verdict.FAILURE, now + 600, 5)
    assert 4 <= breaker.until - (now + 600) <= 6


def test_one_probe_then_two_then_four_then_closed() -> None:
    breaker, now = half_open()
    first = admitted(breaker, now)
    refused(breaker, now)
    breaker.settle(first, Verdict.SUCCESS, now, RNG)
    second = [admitted(breaker, now) for _ in range(2)]
    refused(breaker, now)
    breaker.settle(second[0], Verdict.SUCCESS, now, RNG)
    third = [admitted(breaker, now) for _ in range(3)]
    refused(breaker, now)
    change = breaker.settle(third[0], Verdict.SUCCESS, now, RNG)
    assert change is not None
    assert (change.source, change.target, change.cause) == (State.HALF_OPEN, State.CLOSED, Cause.PROBED)


def test_those_refused_for_want_of_a_turn_are_told_different_times() -> None:
    breaker, now = half_open()
    admitted(breaker, now)
    times = {refused(breaker, now).until for _ in range(50)}
    assert len(times) == 50
    assert all(now + 0.5 <= time <= now + 1.5 for time in times)


def test_streams_that_have_begun_count_though_they_have_not_ended() -> None:
    """Those that break end at once, whole ones after a minute."""
    for begun, state in ((51, State.CLOSED), (50, State.OPEN)):
        breaker = CircuitBreaker()
        permits = [admitted(breaker, 0.0) for _ in range(begun)]
        for permit in permits:
            breaker.settle(permit, Verdict.SUCCESS, 0.0, RNG, streamed=True)
        for permit in permits[:10]:
            breaker.settle(permit, Verdict.STREAM_BROKEN, 0.0, RNG)
        assert state_of(breaker) is state


def test_streams_from_before_the_outage_do_not_close_it_nor_feed_its_windows() -> None:
    breaker = CircuitBreaker()
    old = [admitted(breaker, 0) for _ in range(20)]
    tell(breaker, Verdict.FAILURE, 0, 5)
    now = breaker.until
    probe = admitted(breaker, now)
    for permit in old:
        breaker.settle(permit, Verdict.SUCCESS, now, RNG)
    assert state_of(breaker) is State.HALF_OPEN
    breaker.settle(probe, Verdict.FAILURE, now, RNG)
    assert state_of(breaker) is State.OPEN
    now = breaker.until
    heal(breaker, now)
    for permit in old:
        breaker.settle(permit, Verdict.FAILURE, now, RNG)
    assert state_of(breaker) is State.CLOSED
    shown = breaker.statistics(now)
    assert shown.stragglers == 40
    assert shown.counts.failure == 0
    assert shown.verdicts["failure"] == 26


@pytest.mark.parametrize("give_back", ["release", "neutral"])
def test_a_probe_cancelled_by_its_client_gives_the_turn_back(give_back: str) -> None:
    breaker, now = half_open()
    probe = admitted(breaker, now)
    refused(breaker, now)
    if give_back == "release":
        breaker.release(probe)
    else:
        breaker.settle(probe, Verdict.NEUTRAL, now, RNG)
    assert state_of(breaker) is State.HALF_OPEN
    assert admitted(breaker, now).probe


def test_a_probe_given_back_twice_makes_room_for_one() -> None:
    breaker, now = half_open()
    probe = admitted(breaker, now)
    breaker.release(probe)
    breaker.release(probe)
    admitted(breaker, now)
    refused(breaker, now)


def test_a_rate_limit_as_a_probes_answer_fails_the_probe_and_moves_the_clock() -> None:
    breaker, now = half_open()
    change = breaker.settle(admitted(breaker, now), Verdict.RATE_LIMITED, now, RNG, retry_at=now + 50)
    assert change is not None
    assert (change.target, change.cause) == (State.OPEN, Cause.PROBE_RATE_LIMITED)
    assert breaker.until == now + 50


def test_a_probe_that_never_returns_lapses_and_another_is_sent() -> None:
    breaker, now = half_open()
    admitted(breaker, now)
    refused(breaker, now + 59)
    assert admitted(breaker, now + 60).probe
    refused(breaker, now + 60)
    assert breaker.statistics(now + 60).probes_lapsed == 1


def test_the_late_answer_of_a_lapsed_probe_is_evidence_once() -> None:
    breaker, now = half_open()
    late = admitted(breaker, now)
    admitted(breaker, now + 60)
    breaker.settle(late, Verdict.SUCCESS, now + 90, RNG)
    breaker.settle(late, Verdict.SUCCESS, now + 90, RNG)
    breaker.settle(late, Verdict.FAILURE, now + 90, RNG)
    assert state_of(breaker) is State.HALF_OPEN
    assert admitted(breaker, now + 91).probe
    refused(breaker, now + 91)


def test_the_probes_of_a_dead_deployment_do_not_pile_up() -> None:
    turns = ProbeTurns(timeout=1.0)
    for number in range(1000):
        turns.begin(number, float(number))
        turns.lapse(number + 1.0)
    assert turns.lapses == 1000
    answered = sum(turns.end(number) for number in range(1000))
    assert answered == LAPSED_KEPT


def test_weight_returns_over_half_a_minute_after_closing() -> None:
    breaker, now = half_open()
    assert CircuitBreaker().weight(0) == 1.0
    assert breaker.weight(now - 1) == 0.0
    assert breaker.weight(now) == 0.1
    heal(breaker, now)
    weights = [breaker.weight(now + after) for after in (0, 3, 15, 30, 1000)]
    assert weights == pytest.approx([0.1, 0.1, 0.5, 1.0, 1.0])


def test_mostly_slow_answers_lower_the_weight_and_do_not_open() -> None:
    breaker = CircuitBreaker()
    tell(breaker, Verdict.SUCCESS, 0, 2)
    tell(breaker, Verdict.SUCCESS, 1, 8, slow=True)
    assert state_of(breaker) is State.SLOW
    assert breaker.weight(1) == 0.1
    tell(breaker, Verdict.SUCCESS, 2, 100, slow=True)
    assert state_of(breaker) is State.SLOW


def test_three_quick_answers_in_a_row_or_a_quiet_minute_end_slowness_gently() -> None:
    breaker = CircuitBreaker()
    tell(breaker, Verdict.SUCCESS, 0, 10, slow=True)
    quiet = copy.deepcopy(breaker)
    tell(breaker, Verdict.SUCCESS, 5, 2)
    tell(breaker, Verdict.SUCCESS, 5, slow=True)
    tell(breaker, Verdict.SUCCESS, 6, 2)
    assert state_of(breaker) is State.SLOW
    tell(breaker, Verdict.SUCCESS, 6)
    assert state_of(breaker) is State.CLOSED
    assert breaker.weight(21) == pytest.approx(0.5)
    assert quiet.state_at(59) is State.SLOW
    assert quiet.state_at(60) is State.CLOSED
    assert quiet.weight(75) == pytest.approx(0.5)
    tell(quiet, Verdict.SUCCESS, 75)
    assert quiet.weight(75) == pytest.approx(0.5)


def test_going_slow_does_not_pardon_failures() -> None:
    breaker = CircuitBreaker(BreakerSettings(consecutive=5, samples=4))
    tell(breaker, Verdict.SUCCESS, 0, 4, slow=True)
    assert state_of(breaker) is State.SLOW
    tell(breaker, Verdict.FAILURE, 0, 4)
    assert state_of(breaker) is State.OPEN


def test_slow_is_four_times_the_usual_and_never_under_ten_seconds() -> None:
    settings = BreakerSettings()
    assert settings.slow_after(1.0) == 10.0
    assert settings.slow_after(5.0) == 20.0


def test_panic_probes_early_and_its_failure_does_not_push_recovery_away() -> None:
    breaker = opened()
    until = breaker.until
    for _ in range(10):
        probe = admitted(breaker, 1.0, panic=True)
        assert probe.probe
        refused(breaker, 1.0)
        breaker.settle(probe, Verdict.FAILURE, 1.0, RNG)
        assert (breaker.state, breaker.until, breaker.openings) == (State.OPEN, until, 1)
    for _ in range(3):
        breaker.settle(admitted(breaker, 2.0, panic=True), Verdict.SUCCESS, 2.0, RNG)
    assert state_of(breaker) is State.CLOSED


def test_in_panic_one_that_still_answers_now_and_then_takes_every_call() -> None:
    breaker = CircuitBreaker()
    tell(breaker, Verdict.SUCCESS, 0.0, 10)
    tell(breaker, Verdict.FAILURE, 0.0, 5)
    assert state_of(breaker) is State.OPEN
    refused(breaker, 1.0)
    permits = [admitted(breaker, 1.0, panic=True) for _ in range(20)]
    assert [permit.probe for permit in permits] == [True] + [False] * 19
    refused(breaker, 1.0)
    for permit in permits[1:11]:
        breaker.settle(permit, Verdict.FAILURE, 1.0, RNG)
    assert state_of(breaker) is State.HALF_OPEN, "only a probe moves it"
    admitted(breaker, 1.0, panic=True)
    breaker.settle(permits[11], Verdict.FAILURE, 1.0, RNG)
    assert isinstance(breaker.admit(1.0, RNG, panic=True), Refusal), "now it is dead, but for its probes"


def test_nothing_speaks_for_one_whose_memory_cannot_be_trusted() -> None:
    breaker = CircuitBreaker()
    tell(breaker, Verdict.SUCCESS, 0.0, 10)
    breaker.suspect(0.0)
    admitted(breaker, 0.0, panic=True)
    assert isinstance(breaker.admit(0.0, RNG, panic=True), Refusal)


def test_an_isolated_deployment_takes_nothing_not_even_in_panic_until_it_is_lifted() -> None:
    breaker = CircuitBreaker()
    permit = admitted(breaker, 0)
    breaker.isolate(1)
    assert breaker.admit(1e9, RNG, panic=True) == Refusal(math.inf, State.ISOLATED)
    breaker.settle(permit, Verdict.SUCCESS, 2, RNG)
    assert breaker.statistics(2).stragglers == 1
    breaker.automatic(3)
    assert admitted(breaker, 3).probe


def test_a_forced_one_takes_everything_whatever_the_verdicts() -> None:
    breaker = opened()
    breaker.force_closed(1)
    tell(breaker, Verdict.FAILURE, 1, 100)
    assert (breaker.state, breaker.weight(1)) == (State.FORCED_CLOSED, 1.0)
    breaker.automatic(2)
    assert (breaker.state, breaker.weight(2)) == (State.CLOSED, 1.0)
    tell(breaker, Verdict.FAILURE, 2, 5)
    assert state_of(breaker) is State.OPEN


def test_orders_that_change_nothing_are_not_transitions() -> None:
    breaker = CircuitBreaker()
    assert breaker.automatic(0) is None
    assert breaker.isolate(0) is not None
    assert breaker.isolate(0) is None
    assert breaker.trip(0, RNG) is None
    assert breaker.suspect(0) is None
    assert len(breaker.history) == 1


def test_it_opens_on_somebody_elses_evidence() -> None:
    breaker = CircuitBreaker()
    change = breaker.trip(0, RNG, retry_at=9.0)
    assert change is not None
    assert (change.cause, breaker.until) == (Cause.ORDERED, 9.0)
    assert breaker.trip(1, RNG) is None


def test_a_memory_in_doubt_begins_with_one_probe_and_ignores_earlier_permits() -> None:
    breaker = CircuitBreaker()
    old = admitted(breaker, 0)
    breaker.suspect(0)
    assert admitted(breaker, 0).probe
    refused(breaker, 0)
    breaker.settle(old, Verdict.SUCCESS, 0, RNG)
    assert breaker.statistics(0).stragglers == 1
    doubtful = opened()
    doubtful.suspect(1)
    assert doubtful.state is State.OPEN


def test_transitions_are_collected_once_and_kept_within_bounds() -> None:
    breaker = opened()
    assert [change.cause for change in breaker.collect()] == [Cause.CONSECUTIVE]
    assert breaker.collect() == []
    for turn in range(500):
        breaker.isolate(turn)
        breaker.automatic(turn)
    assert len(breaker.history) == len(breaker.collect()) == 64


def test_looking_changes_nothing() -> None:
    breaker, now = half_open()
    looked = copy.deepcopy(breaker)
    for ahead in (0, 10, 1000):
        looked.weight(now + ahead)
        looked.statistics(now + ahead)
        looked.state_at(now + ahead)
    assert looked.state is State.OPEN
    assert looked.statistics(now) == breaker.statistics(now)
    assert looked.state_at(now) is State.HALF_OPEN


def test_the_table_is_complete() -> None:
    assert set(TRANSITIONS) == set(State)
    assert {target for row in TRANSITIONS.values() for target in row.values()} == set(State)
    assert {cause for row in TRANSITIONS.values() for cause in row} == set(Cause)
    assert set(PROBE_MEANING) == set(Verdict)


@pytest.mark.parametrize(
    "wrong",
    [{"consecutive": 0}, {"history": 0}, {"open_base": 400.0}, {"open_jitter": 1.0}, {"probe_timeout": 0.0}],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="breaker"):
        BreakerSettings(**wrong)  # type: ignore[arg-type]  # some fields are counts

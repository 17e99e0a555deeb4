"""When a hedge is sent, and how many may be."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.machines.hedge import HedgeBudget, hedge_delay
from llm_dispatcher.actors.machines.quantiles import LatencySketch


def sketch_of(*values: float) -> LatencySketch:
    sketch = LatencySketch()
    for value in values:
        sketch.observe(value)
    return sketch


def test_a_hedge_is_due_when_nineteen_in_twenty_would_have_answered() -> None:
    assert hedge_delay(sketch_of(*[number / 100 for number in range(1, 201)])) == pytest.approx(1.9, rel=0.03)


def test_too_few_samples_or_too_long_a_time_make_no_hedge() -> None:
    assert hedge_delay(sketch_of(*[1.0] * 99)) is None
    assert hedge_delay(sketch_of(*[1.0] * 100)) is not None
    assert hedge_delay(sketch_of(*[1.0] * 90, *[2e5] * 10)) is None


def test_losers_recorded_with_the_time_they_took_keep_the_delay_where_it_is() -> None:
    rng = random.Random(3)
    honest, forgetful = LatencySketch(), LatencySketch()
    latencies = [rng.lognormvariate(0, 1) for _ in range(4000)]
    for true in latencies[:500]:
        honest.observe(true)
        forgetful.observe(true)
    for true in latencies[500:]:
        for sketch, records in ((honest, True), (forgetful, False)):
            delay = hedge_delay(sketch)
            assert delay is not None
            # It loses to its hedge a little after the hedge was sent.
            if true <= delay + 0.1:
                sketch.observe(true)
            elif records:
                sketch.observe(delay + 0.1)
    true_delay = hedge_delay(sketch_of(*latencies))
    kept, drifted = hedge_delay(honest), hedge_delay(forgetful)
    assert true_delay is not None
    assert kept == pytest.approx(true_delay, rel=0.05)
    assert drifted is not None
    assert drifted < 0.9 * true_delay


EVENTS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.4, 3.0, 40.0, 900.0]), st.booleans(), st.sampled_from([0.0, 0.1, 0.3])),
    max_size=80,
)


@given(events=EVENTS, share=st.sampled_from([0.0, 0.1, 0.5, 1.0]), floor=st.sampled_from([0.0, 1.0, 2.0]))
def test_hedges_never_exceed_their_share_nor_their_sum(
    events: list[tuple[float, bool, float]], share: float, floor: float
) -> None:
    budget = HedgeBudget(share, dollars=1.0, floor=floor, window=10.0)
    now, requests, hedges = 0.0, list[float](), list[tuple[float, float]]()
    for step, is_request, cost in events:
        now += step
        if is_request:
            requests.append(now)
            budget.request(now)
        # Slices of 1 s and of 60 s: a time is remembered while its slice is among the last so many.
        asked = sum(int(now) - int(time) < 10 for time in requests)
        sent = sum(int(now) - int(time) < 10 for time, _ in hedges)
        spent = sum(cost for time, cost in hedges if now // 60 - time // 60 < 60)
        most = floor + share * asked if share else 0.0
        fits = sent + 1 <= most + 1e-9 and spent + cost <= 1.0 + 1e-9
        assert budget.allow(now, cost) == fits
        if fits:
            hedges.append((now, cost))
    found = budget.statistics(now)
    assert found.hedges == sum(int(now) - int(time) < 10 for time, _ in hedges)


def test_a_refused_hedge_spends_nothing() -> None:
    budget = HedgeBudget(share=0.5, dollars=1.0, floor=0.0)
    assert not budget.allow(0.0, 0.1)
    budget.request(0.0)
    budget.request(0.0)
    assert not budget.allow(0.0, 1.5)
    assert budget.allow(0.0, 0.9)
    found = budget.statistics(0.0)
    assert (found.requests, found.hedges, found.dollars) == (2, 1, 0.9)


def test_a_hedge_of_unknown_price_is_sent_only_where_no_sum_is_set() -> None:
    assert HedgeBudget().allow(0.0, None)
    assert not HedgeBudget(dollars=10.0).allow(0.0, None)


def test_what_makes_no_sense_is_refused() -> None:
    for wrong in ({"share": -0.1}, {"share": 1.5}, {"dollars": -1.0}, {"floor": math.inf}):
        with pytest.raises(ValueError, match="hedge budget"):
            HedgeBudget(**wrong)
    with pytest.raises(ValueError, match="a cost"):
        HedgeBudget().allow(0.0, -1.0)

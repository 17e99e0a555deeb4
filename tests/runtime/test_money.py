"""What an attempt comes to: exact where it was reported, never less than what the vendor may bill."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime.canon import Fault, Usage
from llm_dispatcher.runtime.config.schema import Price
from llm_dispatcher.runtime.config.units import Usd
from llm_dispatcher.runtime.money import Bill, BillState
from llm_dispatcher.runtime.prices import cost_of

PRICE = Price(input=Usd("1"), output=Usd("2"))
MOST = Usage(input_tokens=1000, output_tokens=500)
GONE = Fault(kind=FaultClass.CLIENT_GONE, message="")


def bill(choices: int = 1) -> Bill:
    return Bill(PRICE, 100, lambda: MOST, choices)


def dollars(input_tokens: int, output_tokens: int) -> Decimal:
    return Decimal(input_tokens + 2 * output_tokens) / 1_000_000


def sent(**more: Any) -> Bill:
    made = bill(**more)
    made.send()
    return made


def fault(kind: FaultClass, status: int | None = None) -> Fault:
    return Fault(kind=kind, message="", status=status)


def test_what_was_reported_for_a_whole_answer_is_what_it_costs() -> None:
    made = sent()
    made.count(50, 10_000)
    made.report(Usage(input_tokens=7, output_tokens=3))
    spent = made.settle(None, complete=True)
    assert made.state is BillState.SETTLED
    assert (spent.cost, spent.ceiling, spent.estimated) == (dollars(7, 3), dollars(7, 3), False)


def test_a_reported_zero_is_a_zero() -> None:
    made = sent()
    made.count(1, 100)
    made.report(Usage())
    assert made.settle(None, complete=True).cost == 0


def test_nothing_sent_is_nothing_spent() -> None:
    made = bill()
    spent = made.settle(fault(FaultClass.TTFT_TIMEOUT), complete=False)
    assert made.state is BillState.RELEASED
    assert (spent.cost, spent.ceiling) == (Decimal(0), Decimal(0))


def test_a_refusal_within_an_answer_that_had_begun_is_not_free() -> None:
    made = sent()
    made.accept()
    spent = made.settle(fault(FaultClass.OVERLOADED), complete=False)
    assert made.state is BillState.ESTIMATED
    assert (spent.cost, spent.ceiling) == (dollars(100, 0), dollars(1000, 500))


@pytest.mark.parametrize(
    ("kind", "status", "state"),
    [
        (FaultClass.RATE_LIMITED, 429, BillState.RELEASED),
        (FaultClass.SERVER_ERROR, 500, BillState.RELEASED),
        (FaultClass.SERVER_ERROR, 502, BillState.UNKNOWN),
        (FaultClass.SERVER_ERROR, 504, BillState.UNKNOWN),
        (FaultClass.SERVER_ERROR, None, BillState.UNKNOWN),
        (FaultClass.TTFT_TIMEOUT, None, BillState.UNKNOWN),
        (FaultClass.TRUNCATED, 200, BillState.UNKNOWN),
        (FaultClass.MALFORMED, 200, BillState.UNKNOWN),
        (FaultClass.STALE_CONNECTION, None, BillState.RELEASED),
        (FaultClass.EMPTY_OK, 200, BillState.ESTIMATED),
        (FaultClass.REFUSED, 400, BillState.ESTIMATED),
        (FaultClass.CLIENT_GONE, None, BillState.ESTIMATED),
        (FaultClass.LOCAL, None, BillState.ESTIMATED),
    ],
)
def test_a_failure_without_content_is_free_only_where_that_is_certain(
    kind: FaultClass, status: int | None, state: BillState
) -> None:
    made = sent()
    spent = made.settle(fault(kind, status), complete=False)
    assert made.state is state
    assert spent.ceiling == (0 if state is BillState.RELEASED else dollars(1000, 500))
    assert (made.used() is None) == (state is BillState.UNKNOWN)


def test_an_overload_told_within_an_answer_may_have_cost_the_input() -> None:
    made = sent()
    made.accept()
    spent = made.settle(fault(FaultClass.OVERLOADED), complete=False)
    assert made.state is BillState.ESTIMATED
    assert (spent.cost, spent.ceiling) == (dollars(100, 0), dollars(1000, 500))


def test_an_interrupted_answer_costs_its_input_and_what_had_passed() -> None:
    made = sent()
    made.count(50, 70)
    spent = made.settle(fault(FaultClass.STALLED), complete=False)
    assert (spent.cost, spent.estimated) == (dollars(100, 50), True)
    assert spent.ceiling == dollars(1000, 500)


def test_of_what_was_reported_on_the_way_and_what_was_counted_the_larger_holds() -> None:
    for reported, counted, output in ((1, 40, 40), (90, 40, 90)):
        made = sent()
        made.report(Usage(input_tokens=25, output_tokens=reported))
        made.count(counted, 0)
        assert made.settle(GONE, complete=False).cost == dollars(25, output)


def test_a_report_after_the_answers_end_is_final_even_if_the_stream_then_breaks() -> None:
    made = sent()
    made.count(3, 30)
    made.finish()
    made.report(Usage(input_tokens=7, output_tokens=2))
    made.settle(fault(FaultClass.TRUNCATED), complete=False)
    assert (made.state, made.spent.cost) == (BillState.SETTLED, dollars(7, 2))


def test_a_report_is_not_final_while_another_choice_goes_on() -> None:
    made = sent(choices=2)
    made.finish()
    made.report(Usage(input_tokens=7, output_tokens=2))
    made.settle(fault(FaultClass.TRUNCATED), complete=False)
    assert made.state is BillState.ESTIMATED


def test_without_a_price_costs_are_unknown_and_never_zero() -> None:
    made = Bill(None, 100, lambda: MOST)
    made.send()
    spent = made.settle(GONE, complete=False)
    assert (spent.cost, spent.ceiling) == (None, None)


def test_a_bill_is_settled_once() -> None:
    made = sent()
    made.settle(GONE, complete=False)
    with pytest.raises(RuntimeError, match="settled before"):
        made.settle(GONE, complete=False)


@given(
    kind=st.sampled_from(FaultClass),
    status=st.sampled_from([None, 200, 429, 500, 502, 504]),
    generated=st.integers(0, 500),
    passed=st.floats(0, 1),
    characters=st.integers(0, 7),
    reported=st.one_of(st.none(), st.floats(0, 1)),
    complete=st.booleans(),
)
def test_what_is_settled_or_held_as_a_ceiling_covers_what_was_incurred(
    kind: FaultClass,
    status: int | None,
    generated: int,
    passed: float,
    characters: int,
    reported: float | None,
    complete: bool,
) -> None:
    """A vendor generates so many tokens, of which a part arrives, and reports some of them on the way."""
    made = sent()
    arrived = generated if complete else int(generated * passed)
    made.count(arrived, min(arrived * characters, int(arrived * 3.5)))
    if complete:
        made.finish()
    if reported is not None:
        made.report(Usage(input_tokens=100, output_tokens=generated if complete else int(arrived * reported)))
    ended = complete and reported is not None
    spent = made.settle(None if complete else fault(kind, status), complete=complete)
    incurred = cost_of(Usage(input_tokens=100, output_tokens=generated), PRICE)
    if made.state is BillState.RELEASED:
        # The classes that are free are free because nothing was generated; seen content contradicts that.
        assert arrived == 0
        assert reported is None
        return
    assert spent.ceiling is not None
    assert incurred is not None
    assert spent.cost is not None
    assert spent.ceiling >= incurred
    assert spent.cost <= spent.ceiling
    if ended:
        assert spent.cost == incurred

"""The statistics: what is counted, what is ranked, and what survives a crash."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.actors.mailbox import Mailbox
from llm_dispatcher.actors.messages import Outcome, Rankings, Snapshot, Spent
from llm_dispatcher.actors.stats import Ledger, Statistics, Stats


class Desk:
    """The statistics' actor, and the router's mailbox that it publishes to."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.router = Mailbox[Any]("router")
        self.actor = Stats(self.ledger, self.router)
        self.now = 0.0

    def tell(self, **more: Any) -> None:
        self.now += 1
        fields = {"vendor": "v", "deployment": "v/m", "model": "m", "asked": "m", "seconds": 2.0, **more}
        self.actor.handle(Outcome(**fields), self.now)

    def stream(
        self, first: float, *, size: int = 100, tokens: int = 1, seconds: float | None = None, **more: Any
    ) -> None:
        whole = first if seconds is None else seconds
        self.tell(first_token=first, seconds=whole, streamed=True, spent=Spent(size, tokens), **more)

    def seen(self) -> Statistics:
        found = self.actor.handle(Snapshot(), self.now)
        assert isinstance(found, Statistics)
        return found

    def rankings(self) -> Rankings:
        newest = None
        while (letter := self.router.take()) is not None:
            newest = letter.message
        assert isinstance(newest, Rankings)
        return newest


def test_attempts_and_requests_are_counted_apart() -> None:
    desk = Desk()
    desk.tell(fault=FaultClass.SERVER_ERROR, last=False)
    desk.tell(attempt=2, spent=Spent(10, 5, cost=Decimal("0.5")), first_token=0.5, request_seconds=3.0)
    desk.tell(vendor=None, deployment=None, fault=FaultClass.LOCAL, attempt=0)
    found = desk.seen()
    assert (found.requests, found.succeeded, found.failed, found.fallbacks) == (2, 1, 1, 1)
    vendor = found.vendors["v"]
    assert (vendor.attempts, vendor.succeeded, vendor.errors) == (2, 1, {"server_error": 1})
    assert (vendor.input_tokens, vendor.output_tokens, vendor.cost) == (10, 5, Decimal("0.5"))
    assert vendor.first_token.p50 == pytest.approx(0.5, rel=0.02)
    assert found.request_seconds.p50 == pytest.approx(3.0, rel=0.02)


def test_a_cost_that_is_not_known_is_counted_as_such() -> None:
    desk = Desk()
    desk.tell(spent=Spent(10, 5))
    assert desk.seen().totals.unpriced == 1


def test_what_told_a_faults_class_is_counted() -> None:
    desk = Desk()
    for by in ("status", "message", "message", None):
        desk.tell(fault=FaultClass.RATE_LIMITED, by=by)
    desk.tell()
    found = desk.seen()
    assert found.totals.recognised == found.vendors["v"].recognised == {"status": 1, "message": 2}


def test_a_crash_loses_no_count() -> None:
    desk = Desk()
    desk.tell()
    desk.actor = Stats(desk.ledger, desk.router)
    desk.tell()
    assert desk.seen().totals.attempts == 2


def test_rankings_come_from_successes_and_failures_count_against() -> None:
    desk = Desk()
    desk.tell(first_token=0.5, seconds=2.5, streamed=True, spent=Spent(0, 11))
    desk.tell(fault=FaultClass.SERVER_ERROR, seconds=0.001)
    desk.tell(fault=FaultClass.CLIENT_GONE, seconds=0.001)
    ranking = desk.rankings().deployments["v/m"]
    assert ranking.first_token == pytest.approx(0.5)
    assert ranking.per_token == pytest.approx(0.2)
    assert ranking.failures == pytest.approx(0.5)


def test_a_slow_answer_is_believed_at_once_and_forgotten_in_time() -> None:
    desk = Desk()
    for _ in range(30):
        desk.stream(1.0)
    desk.stream(20.0)
    slow = desk.rankings().deployments["v/m"].first_token
    assert slow == pytest.approx(20.0)
    desk.now += 600.0
    # News of another deployment: this one, idle for two half-lives, has come near its mean.
    desk.tell(deployment="v/other")
    idle = desk.rankings().deployments["v/m"].first_token
    assert idle is not None
    assert 1.0 < idle < 7.0


def test_the_usual_time_is_kept_by_size_and_for_an_hour() -> None:
    desk = Desk()
    for number in range(20):
        desk.stream(0.5 + number / 100, size=500)
        desk.stream(4.0, size=20_000)
    desk.now += 5
    desk.stream(4.0, size=20_000)
    ranking = desk.rankings().deployments["v/m"]
    small, none, large, huge = ranking.usual
    assert (none, huge) == (None, None)
    assert small == pytest.approx(0.6, rel=0.05)
    assert large == pytest.approx(4.0, rel=0.02)
    assert ranking.samples == 41
    desk.now += 7200
    desk.stream(1.0, size=500)
    assert desk.rankings().deployments["v/m"].samples == 1


def test_the_whole_time_of_a_plain_answer_is_not_its_time_to_the_first_content() -> None:
    desk = Desk()
    for _ in range(5):
        desk.stream(0.5, seconds=2.5, tokens=11)
    desk.tell(first_token=None, seconds=4.5, spent=Spent(10, 21))
    ranking = desk.rankings().deployments["v/m"]
    assert ranking.first_token == pytest.approx(0.5, rel=0.1)
    assert ranking.samples == 5
    # Without a stream there is nothing to tell the one from the other.
    desk.tell(deployment="v/plain", first_token=None, seconds=4.5, spent=Spent(10, 21))
    assert desk.rankings().deployments["v/plain"].first_token == pytest.approx(4.5)


def test_hedges_are_due_by_model_and_size_and_apart_for_plain_answers() -> None:
    desk = Desk()
    for number in range(120):
        desk.stream(1.0 + number / 100, size=100, vendor="v", deployment=f"v{number % 3}/m")
        desk.tell(seconds=30.0 + number / 100, spent=Spent(100, 5))
    desk.now += 10
    desk.stream(1.0, size=100)
    rankings = desk.rankings()
    assert rankings.hedge_after["m"][0] == pytest.approx(2.13, rel=0.03)
    assert rankings.plain_hedge_after["m"][0] == pytest.approx(31.1, rel=0.03)
    assert rankings.hedge_after["m"][1:] == rankings.plain_hedge_after["m"][1:] == (None, None, None)


def test_the_loser_of_a_race_is_neither_success_nor_failure() -> None:
    desk = Desk()
    desk.stream(1.0)
    desk.tell(superseded=True, last=False, seconds=0.2, spent=Spent(100, 0))
    ranking = desk.rankings().deployments["v/m"]
    assert (ranking.failures, ranking.samples) == (0.0, 1)
    assert ranking.first_token == pytest.approx(1.0)
    totals = desk.seen().totals
    assert (totals.attempts, totals.succeeded, totals.failed, totals.superseded) == (2, 1, 0, 1)
    assert (totals.input_tokens, totals.errors, totals.total.count) == (200, {}, 1)
    # But one that had already taken longer than the deployment seems to need says that it is slower.
    desk.tell(superseded=True, last=False, seconds=9.0)
    assert desk.rankings().deployments["v/m"].first_token == pytest.approx(9.0)


def test_hedging_does_not_make_the_next_hedge_come_sooner() -> None:
    desk = Desk()
    for number in range(400):
        desk.stream(1.0 + number / 400)
    for number in range(400):
        if number % 20 == 0:
            # Lost to its hedge, and the hedge of another that answered at once.
            desk.tell(superseded=True, last=False, streamed=True, seconds=2.1, spent=Spent(100, 0))
            desk.tell(superseded=True, last=False, streamed=True, seconds=0.01, spent=Spent(100, 0))
        else:
            desk.stream(1.0 + number / 421)
    after = desk.rankings().hedge_after["m"][0]
    assert after == pytest.approx(1.95, rel=0.05)


def test_what_a_vendor_may_have_billed_is_kept_beside_what_it_did() -> None:
    desk = Desk()
    exact, most = Decimal("0.5"), Decimal("0.75")
    desk.tell(spent=Spent(10, 5, cost=exact, ceiling=exact))
    desk.tell(spent=Spent(10, 5, cost=exact, ceiling=most), fault=FaultClass.TTFT_TIMEOUT)
    desk.tell(spent=Spent(10, 5))
    totals = desk.seen().totals
    assert (totals.cost, totals.unknown, totals.unpriced) == (Decimal(1), Decimal("0.25"), 1)


def test_summaries_by_name_add_up_to_the_totals() -> None:
    desk = Desk()
    for number in range(30):
        vendor, model, mode = "vw"[number % 2], "mn"[number % 3 == 0], ("fast", None)[number % 5 == 0]
        desk.tell(vendor=vendor, deployment=f"{vendor}/{model}", model=model, mode=mode, spent=Spent(number))
    found = desk.seen()
    for parts in (found.vendors, found.deployments, found.models):
        assert sum(part.attempts for part in parts.values()) == found.totals.attempts == 30
        assert sum(part.input_tokens for part in parts.values()) == found.totals.input_tokens
        assert sum(part.total.count for part in parts.values()) == found.totals.total.count
    assert found.modes["fast"].attempts == 24
    assert set(found.deployments) == {"v/m", "v/n", "w/m", "w/n"}


def test_the_cost_of_a_sending_does_not_grow_with_the_number_of_deployments() -> None:
    desk = Desk()
    for number in range(100):
        desk.tell(deployment=f"v/{number}", first_token=1.0)
        desk.now += 1
    before = desk.rankings().deployments
    desk.now += 3600
    desk.tell(deployment="v/0", first_token=1.0)
    after = desk.rankings().deployments
    assert len(after) == 100
    # Only a few of the others are looked at again each time, but each in its turn.
    assert sum(after[name] is not before[name] for name in after) <= 17
    for _ in range(8):
        desk.tell(deployment="v/0", first_token=1.0)
    assert all(ranking is not before[name] for name, ranking in desk.rankings().deployments.items())


def test_names_are_bounded() -> None:
    ledger = Ledger()
    for number in range(5100):
        ledger.add(Outcome(vendor="v", deployment="v/m", model="m", asked="m", mode=f"mode {number}"))
    found = ledger.statistics()
    assert len(found.modes) == 5001
    assert found.modes["(other)"].attempts == found.models["(other)"].attempts == 100
    assert found.totals.attempts == 5100

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

    def seen(self) -> Statistics:
        found = self.actor.handle(Snapshot(), self.now)
        assert isinstance(found, Statistics)
        return found

    def rankings(self) -> Rankings:
        letters = self.router.letters()
        newest = None
        for _ in range(self.router.statistics().waiting):
            newest = letters.receive_nowait().message
        letters.close()
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
    desk.tell(first_token=0.5, seconds=2.5, spent=Spent(0, 11))
    desk.tell(fault=FaultClass.SERVER_ERROR, seconds=0.001)
    desk.tell(fault=FaultClass.CLIENT_GONE, seconds=0.001)
    ranking = desk.rankings().deployments["v/m"]
    assert ranking.first_token == pytest.approx(0.5)
    assert ranking.per_token == pytest.approx(0.2)
    assert ranking.failures == pytest.approx(0.5)


def test_names_are_bounded() -> None:
    desk = Desk()
    for number in range(1100):
        desk.tell(mode=f"mode {number}")
    modes = desk.seen().modes
    assert len(modes) <= 1001
    assert modes["(other)"].attempts == 100

"""The table of consequences against a second transcription of the taxonomy, in letters."""

from __future__ import annotations

import pytest
from llm_dispatcher.actors.faults import (
    CONSEQUENCES,
    VARIANTS,
    Again,
    Blame,
    FaultClass,
    Health,
    Money,
    Reach,
    Until,
    consequence,
)

# Class, same (never, 1: once, free, hint), other, breaker (F failing, S alive, -), what closes (- nothing,
# d deployment, a account, e endpoint), money (0, Partial, Billed, ?), blame (c caller, v vendor, h house).
TAXONOMY = """
    bad_request      never no   S  -  0  c
    context_length   never yes  S  -  0  c
    too_large        never yes  -  -  0  c
    auth             never yes  -  a  0  h
    no_model         never yes  -  d  0  h
    quota_exhausted  never yes  -  a  0  h
    rate_limited     hint  yes  -  d  0  v
    concurrency_limited hint yes - d  0  v
    daily_limit      never yes  -  d  0  v
    ramp_limited     hint  yes  -  d  0  v
    overloaded       1     yes  F  d  0  v
    server_error     1     yes  F  d  ?  v
    timeout_409      1     yes  F  d  ?  v
    refused          never no   S  -  B  c
    connect          1     yes  F  e  0  v
    tls              never yes  F  e  0  v
    stale_connection free  yes  -  -  0  v
    not_processed    free  yes  -  -  0  v
    ttft_timeout     never yes  F  d  ?  v
    stalled          never yes  F  d  P  v
    truncated        never yes  F  d  ?  v
    in_stream_error  never yes  F  d  P  v
    malformed        never yes  F  d  ?  v
    oversized        never yes  F  d  ?  v
    slow_drip        never yes  F  d  P  v
    empty_ok         1     yes  F  d  B  v
    client_gone      never no   -  -  P  c
    local            never no   -  -  0  h
"""
ROWS = [line.split() for line in TAXONOMY.strip().splitlines()]
LETTERS: dict[object, str] = {
    Again.NEVER: "never", Again.ONCE: "1", Again.ONCE_FREE: "free", Again.AFTER_HINT: "hint",
    True: "yes", False: "no",
    Health.FAILURE: "F", Health.ALIVE: "S", Health.NEUTRAL: "-",
    Reach.NOTHING: "-", Reach.DEPLOYMENT: "d", Reach.ACCOUNT: "a", Reach.ENDPOINT: "e",
    Money.NONE: "0", Money.PARTIAL: "P", Money.BILLED: "B", Money.UNKNOWN: "?",
    Blame.CALLER: "c", Blame.VENDOR: "v", Blame.HOUSE: "h",
}  # fmt: skip


def test_every_class_has_a_row_and_the_taxonomy_knows_no_other() -> None:
    assert set(CONSEQUENCES) == set(FaultClass)
    assert [row[0] for row in ROWS] == [kind.value for kind in FaultClass]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_what_follows_from_a_class_is_what_the_taxonomy_says(row: list[str]) -> None:
    found = CONSEQUENCES[FaultClass(row[0])]
    cells = (found.same, found.other, found.breaker, found.reach, found.money, found.fault)
    assert [LETTERS[cell] for cell in cells] == row[1:]


def test_the_limiter_gives_way_where_the_vendor_had_too_much() -> None:
    limits = {kind: row.limit for kind, row in CONSEQUENCES.items()}
    fewer = {kind.value for kind, limit in limits.items() if limit.concurrency == 0.9}
    assert fewer == {"concurrency_limited", "overloaded", "ttft_timeout", "stalled", "slow_drip"}
    assert {kind.value for kind, limit in limits.items() if limit.rate == 0.7} == {"rate_limited"}
    assert {kind.value for kind, limit in limits.items() if limit.growth == 0.5} == {"ramp_limited"}
    assert {kind.value for kind, limit in limits.items() if limit.refunds} == {"not_processed"}


@pytest.mark.parametrize(
    ("kind", "until", "rest", "longest"),
    [
        ("no_model", Until.REST, 600, 600),
        ("quota_exhausted", Until.REST, 900, 21_600),
        ("daily_limit", Until.DAY, 900, 21_600),
        ("rate_limited", Until.HINT, 5, 0),
        ("ramp_limited", Until.HINT, 5, 0),
        ("concurrency_limited", Until.HINT, 0, 0),
        ("server_error", Until.OPEN, 0, 0),
    ],
)
def test_how_long_something_stays_closed(kind: str, until: Until, rest: float, longest: float) -> None:
    limit = CONSEQUENCES[FaultClass(kind)].limit
    assert (limit.until, limit.rest, limit.longest) == (until, rest, longest)


@pytest.mark.parametrize(
    ("status", "money", "concurrency"),
    [
        (500, Money.NONE, 1.0), (502, Money.UNKNOWN, 1.0), (504, Money.UNKNOWN, 0.9), (520, Money.NONE, 1.0),
        (523, Money.NONE, 1.0), (524, Money.UNKNOWN, 0.9), (599, Money.UNKNOWN, 1.0), (None, Money.UNKNOWN, 1.0),
    ],
)  # fmt: skip
def test_a_500_is_free_while_behind_a_502_or_504_an_answer_may_be_finished(
    status: int | None, money: Money, concurrency: float
) -> None:
    row = consequence(FaultClass.SERVER_ERROR, status)
    assert (row.money, row.limit.concurrency) == (money, concurrency)


def test_a_conflict_says_nothing_of_the_vendors_health_but_a_timeout_does() -> None:
    assert consequence(FaultClass.TIMEOUT_409, 408).breaker is Health.FAILURE
    assert consequence(FaultClass.TIMEOUT_409, 409).breaker is Health.NEUTRAL


@pytest.mark.parametrize("kind", FaultClass)
def test_after_content_the_tokens_until_there_are_billed_whatever_broke_the_answer(kind: FaultClass) -> None:
    before, after = consequence(kind), consequence(kind, committed=True)
    assert after.money is (Money.BILLED if before.money is Money.BILLED else Money.PARTIAL)
    assert (after.same, after.breaker, after.limit) == (before.same, before.breaker, before.limit)


def test_a_variant_differs_from_its_row_and_belongs_to_a_failure() -> None:
    for (kind, status), row in VARIANTS.items():
        assert row != CONSEQUENCES[kind]
        assert 400 <= status < 600
        assert consequence(kind, status) is row


def test_what_is_the_callers_is_answered_with_4xx_and_the_rest_with_429_or_5xx() -> None:
    for kind, row in CONSEQUENCES.items():
        callers = 400 <= row.http < 500 and row.http != 429
        assert callers is (row.fault is Blame.CALLER), kind

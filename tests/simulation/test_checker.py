"""Every check of the checker can fail: each is fed a history in which the house did what it promises not to do."""

from __future__ import annotations

from decimal import Decimal

import pytest
from llm_dispatcher.benchmarks.vendor import Script

from .checker import CHECKS, check
from .history import (
    Attempted,
    Audited,
    Booked,
    Census,
    Crashed,
    Ended,
    Granted,
    History,
    Jumped,
    Logged,
    Peak,
    Record,
    Settled,
    Started,
)
from .story import Behaviour, Client, Limits, Story, VendorPlan

V0 = VendorPlan(
    name="v0", format="openai", models=("m",), keys=("k1", "k2"), limits=Limits(requests=60), script=Script()
)
V1 = VendorPlan(name="v1", format="openai", models=("m",), keys=("k",), limits=Limits(), script=Script())


def client(number: int, at: float = 0.0, **more: object) -> Client:
    fields = {"model": "m", "stream": True, "characters": 20, "most": None, "timeout": 10.0, "tenant": "t"}
    return Client(number=number, at=at, **{**fields, **more})  # type: ignore[arg-type]


STORY = Story(
    seed=0,
    mode="safety",
    seconds=60.0,
    vendors=(V0, V1),
    clients=(client(1), client(2, library=True, behaviour=Behaviour(kind="stops", after=1))),
    retries=0.0,
    floor=0.0,
)

# One request, and all that is right about it.
STARTED = Started(at=0.0, request=1, deadline=10.0, stream=True)
GRANTED = Granted(
    at=0.0, request=1, vendor="v0", deployment="v0/m", permit=7, start_at=0.0, input=5.0, output=40.0
)
ATTEMPTED = Attempted(
    at=0.01, request=1, vendor="v0", number=1, key="k1", model="m", stream=True, step="answer",
    outcome="complete", status=200, finished_at=1.0, text="all is well", told=True, input=5, output=3,
    billed_input=5, billed_output=3,
)  # fmt: skip
SETTLED = Settled(at=1.0, request=1, vendor="v0", deployment="v0/m", permit=7, input=5, output=3)
BOOKED = Booked(
    at=1.0, request=1, deployment="v0/m", last=True, begun=0.0, input=5, output=3,
    cost=Decimal("0.000028"), ceiling=Decimal("0.000028"),
)  # fmt: skip
ENDED = Ended(at=1.0, request=1, how="complete", status=200, text="all is well", first_at=0.5)
GOOD: tuple[Record, ...] = (STARTED, GRANTED, ATTEMPTED, SETTLED, BOOKED, ENDED)


def but(record: Record, **changes: object) -> Record:
    """A record with some changes."""
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    return type(record)(**{**fields, **changes})


def history(*records: Record) -> History:
    made = History()
    for record in records:
        made.add(record)
    return made


def changed(record: Record, **changes: object) -> tuple[Record, ...]:
    """The good history with one record changed."""
    return tuple([but(each, **changes) if each is record else each for each in GOOD])


def without(*records: Record) -> tuple[Record, ...]:
    return tuple([each for each in GOOD if each not in records])


def test_a_good_history_has_nothing_wrong_with_it() -> None:
    assert check(STORY, history(*GOOD)) == []


def later(record: Record, by: float, **changes: object) -> Record:
    return but(record, at=record.at + by, **changes)


RETRY = (
    but(GRANTED, permit=8, vendor="v1", deployment="v1/m"),
    but(SETTLED, permit=8, vendor="v1", deployment="v1/m", fault="server_error"),
)
SECOND = later(GRANTED, 0.6, permit=8, vendor="v1", deployment="v1/m", start_at=0.6)
MANY = [
    later(each, 0.01 * number)
    for number in range(10)
    for each in (
        but(GRANTED, request=10 + number, permit=10 + number),
        but(ATTEMPTED, request=10 + number, number=10 + number),
        but(SETTLED, request=10 + number, permit=10 + number),
    )
]
LIMITED = but(SETTLED, fault="rate_limited", retry_at=8.0)
AUDITED = Audited(
    at=1.0,
    vendor="v0",
    before={"v0/m": {"closed": 5.0, "available requests": 1.0}},
    after={"v0/m": {"closed": 5.0, "available requests": 1.0}},
    slack={},
)

WRONG: list[tuple[str, tuple[Record, ...], str]] = [
    ("I1", without(ENDED), "has 0 ends"),
    ("I1", (*GOOD, ENDED), "has 2 ends"),
    ("I1", changed(ENDED, at=10.3), "its end came 0.300 s after its deadline"),
    ("I1", changed(ENDED, how="cut"), "was cut without a word"),
    ("I1", without(BOOKED), "has 0 last entries"),
    ("I1", (*GOOD, BOOKED), "has 2 last entries"),
    ("I1", changed(BOOKED, at=10.3), "was booked 0.300 s after its deadline"),
    ("I2", changed(ATTEMPTED, outcome="broken"), "is shown as complete; of v0 'answer': broken"),
    ("I2", changed(ENDED, text="all is"), "is shown as complete"),
    ("I2", without(ATTEMPTED), "is shown as complete; of nobody"),
    ("I2", changed(ENDED, how="broken", text="all is not"), "the beginning of no answer"),
    ("I3", without(BOOKED), "is not in the books"),
    ("I3", changed(BOOKED, deployment="v0/m#2"), "is not in the books"),
    ("I3", changed(BOOKED, output=2), "settled as 5+2"),
    ("I3", changed(BOOKED, cost=Decimal("0.00002")), "settled as 5+3 (0.00002)"),
    ("I3", changed(BOOKED, exact=False), "was estimated all the same"),
    (
        "I3",
        changed(BOOKED, exact=False, fault="client_gone", ceiling=Decimal("0.000027")),
        "at most 0.000027 was expected",
    ),
    ("I3", changed(BOOKED, exact=False, fault="client_gone", ceiling=None), "at most None was expected"),
    ("I3", without(ATTEMPTED), "was booked 0.000028 that nobody charges"),
    ("I4", changed(ATTEMPTED, limited=True, step="limit: requests"), "v0 refused attempt 1"),
    ("I4", tuple(MANY), "requests with k1 in 1 s"),
    ("I5", (*GOOD, *RETRY), "1 retries in vain for 1 requests"),
    (
        "I5",
        (*GOOD, *[but(each, permit=20 + extra) for extra in range(3) for each in (GRANTED, SETTLED)]),
        "4 attempts were made",
    ),
    ("I6", (*GOOD, SECOND), "got a lease of v1/m after its answer had begun"),
    ("I7", (Peak(at=0.0, what="router: parked", most=151, bound=150), *GOOD), "151, and 150 is the most"),
    ("I8", (Census(at=0.0, what="tasks", found=4, expected=3), *GOOD), "tasks: 4 instead of 3"),
    ("I8", changed(ATTEMPTED, finished_at=2.5), "v0 was kept busy until 2.500"),
    ("I9", without(SETTLED), "came back 0 times"),
    ("I9", (*GOOD, SETTLED), "came back 2 times"),
    ("I9", without(GRANTED), "was never granted"),
    ("I10", (*without(SETTLED), LIMITED, later(GRANTED, 2.0, start_at=7.0)), "closed until 8.000 by v0/m"),
    (
        "I10",
        (*without(SETTLED), but(SETTLED, fault="auth"), later(GRANTED, 2.0, start_at=2.0)),
        "closed until 301.000",
    ),
    (
        "I10",
        (but(AUDITED, after={"v0/m": {"closed": 4.0, "available requests": 1.0}}), *GOOD),
        "closed until 5.000, and only until 4.000",
    ),
    (
        "I10",
        (but(AUDITED, after={"v0/m": {"closed": 5.0, "available requests": 1.5}}), *GOOD),
        "1.000, and 1.500 after the crash",
    ),
    ("sound", (Crashed(at=0.0, actor="router", injected=False, message="Route"), *GOOD), "router crashed"),
    ("sound", (Logged(at=0.0, event="endpoint failed"), *GOOD), "endpoint failed"),
]


@pytest.mark.parametrize(("promise", "records", "found"), WRONG)
def test_a_broken_promise_is_found(promise: str, records: tuple[Record, ...], found: str) -> None:
    violations = CHECKS[promise](STORY, history(*records))
    assert found in " / ".join([each.found for each in violations])
    assert all(each.promise == promise for each in violations)


def test_every_promise_is_shown_to_be_checked() -> None:
    assert {promise for promise, _, _ in WRONG} | {"alive"} == set(CHECKS)


RIGHT: list[tuple[str, tuple[Record, ...]]] = [
    # The loop stood still at the deadline: nobody could do anything.
    ("I1", (Jumped(at=9.9, seconds=5.0), *changed(ENDED, at=14.9))),
    # A client that left need not be in the books at all; one that does not read learns of its end when it reads.
    ("I1", (*without(ENDED, BOOKED), but(ENDED, how="left"))),
    ("I1", changed(ENDED, at=50.0, prompt=False)),
    # More was booked than was charged, as a ceiling.
    ("I3", changed(BOOKED, exact=False, fault="client_gone", ceiling=Decimal("0.001"))),
    # What the vendor refused for its own reasons is no limit of ours, and a second key has limits of its own.
    ("I4", tuple([but(each, key="k2") if isinstance(each, Attempted) else each for each in MANY[:12]])),
    # A connection that had gone stale is replaced for free.
    ("I5", (but(GRANTED, permit=6), but(SETTLED, permit=6, fault="stale_connection"), *GOOD)),
    # A retry that brought the answer is none that the budget counts.
    ("I5", (but(GRANTED, permit=6), but(SETTLED, permit=6, fault="server_error"), *GOOD)),
    # A lease that was slept through and given back was no attempt.
    ("I5", (but(GRANTED, permit=6), but(SETTLED, permit=6, fault="local", sent=False), *GOOD)),
    # Before the first content everything may be tried again, and what is not streamed has no first content.
    ("I6", (but(SECOND, at=0.4), *GOOD)),
    ("I6", (SECOND, *changed(STARTED, stream=False))),
    # What is reserved for after a cooldown; what crashed the actor is lost with it; a probe of another key.
    ("I10", (*without(SETTLED), LIMITED, later(GRANTED, 2.0, start_at=8.0))),
    (
        "I10",
        (
            Crashed(at=1.0, actor="vendor v0", injected=True, message="Settle", permit=7),
            *without(SETTLED),
            LIMITED,
            later(GRANTED, 2.0),
        ),
    ),
    (
        "I10",
        (
            *without(SETTLED),
            but(SETTLED, fault="auth"),
            later(GRANTED, 2.0, deployment="v0/m#2", start_at=2.0),
        ),
    ),
    # A settlement that crashed the actor may have given back what it settled; what was over may be forgotten.
    (
        "I10",
        (
            but(AUDITED, after={"v0/m": {"closed": 5.0, "available requests": 2.0}}, slack={"requests": 1.0}),
            *GOOD,
        ),
    ),
    (
        "I10",
        (
            but(
                AUDITED,
                before={"v0/m": {"closed": 0.5, "available requests": 1.0}},
                after={"v0/m": {"closed": 0.0, "available requests": 1.0}},
            ),
            *GOOD,
        ),
    ),
    ("sound", (Crashed(at=0.0, actor="router", injected=True, message="Route"), *GOOD)),
]


@pytest.mark.parametrize(("promise", "records"), RIGHT)
def test_what_was_not_promised_is_not_found(promise: str, records: tuple[Record, ...]) -> None:
    assert CHECKS[promise](STORY, history(*records)) == []


def test_tokens_beyond_a_limit_are_excused_as_far_as_they_were_underestimated() -> None:
    limits = Limits(tokens=100)
    plan = VendorPlan(name="v0", format="openai", models=("m",), keys=("k1",), limits=limits, script=Script())
    story = Story(seed=0, mode="safety", seconds=60.0, vendors=(plan,), clients=())
    for reserved, excess in ((90.0, True), (50.0, False)):
        records = [
            each
            for number in range(2)
            for each in (
                but(GRANTED, permit=number, request=number, input=reserved, output=0.0),
                but(ATTEMPTED, request=number, number=number, input=90, output=0, at=0.01 + number),
                but(SETTLED, permit=number, request=number, at=1.0 + number, input=90, output=0),
            )
        ]
        assert bool(CHECKS["I4"](story, history(*records))) is excess


def test_after_healing_whoever_stays_is_served() -> None:
    story = Story(
        seed=0, mode="liveness", seconds=60.0, vendors=(V0,), well_at=30.0, heals_at=20.0,
        clients=(client(1, 29.0), client(2, 31.0), client(3, 32.0, behaviour=Behaviour(kind="leaves"))),
    )  # fmt: skip
    refused = [but(ENDED, request=number, how="error", code="no_vendor") for number in (1, 2, 3)]
    assert [each.request for each in CHECKS["alive"](story, history(*refused))] == [2]
    assert CHECKS["alive"](story, history(refused[0], but(ENDED, request=2), refused[2])) == []

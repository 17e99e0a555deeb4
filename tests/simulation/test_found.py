"""What the simulation has found, each as the smallest story that shows it. The checker says nothing of them any more."""

from __future__ import annotations

from typing import Any

import pytest
from llm_dispatcher.benchmarks.vendor import Delays, ErrorEvent, Script, Step, When

from .checker import check
from .history import Attempted, Booked, Ended, Granted, History
from .story import Behaviour, Client, Crash, Jump, Limits, Story, VendorPlan, enforced
from .world import play

DEFAULT = Step(tokens=10, delay=Delays(first_event=0.3, between=0.1))


def vendor(*rules: Step, name: str = "v0", **more: Any) -> VendorPlan:
    """A vendor in OpenAI's format, sound but for these rules."""
    limits = more.pop("limits", Limits())
    script = Script(rules=list(rules), default=DEFAULT, limits=enforced(limits, "openai", 0.6))
    fields = {"format": "openai", "models": ("small", "large"), "keys": (f"{name}-key-0",), "limits": limits}
    return VendorPlan(name=name, script=script, **{**fields, **more})


def client(number: int, at: float, **more: Any) -> Client:
    fields = {
        "model": "small", "stream": True, "characters": 100, "most": None, "timeout": 20.0, "tenant": "tenant-0",
    }  # fmt: skip
    return Client(number=number, at=at, **{**fields, **more})


def lived(*vendors: VendorPlan, clients: list[Client], **more: Any) -> History:
    """The history of a story in which nothing is wrong."""
    story = Story(
        seed=1, mode="safety", seconds=60.0, vendors=vendors, clients=tuple(clients), jitter=0.6, **more
    )
    history = play(story)
    assert [str(each) for each in check(story, history)] == []
    return history


def endings(history: History) -> list[tuple[str, str | None]]:
    return [(each.how, each.code) for each in sorted(history.of(Ended), key=lambda each: each.request)]


def test_whose_deadline_passes_in_line_leaves_nothing_behind() -> None:
    """Their letters stayed parked for good."""
    slow = vendor(Step(delay=Delays(first_event=8.0)), limits=Limits(concurrent=1))
    waiting = [client(number, 0.1, timeout=2.0) for number in (2, 3)]
    history = lived(slow, clients=[client(1, 0.0), *waiting])
    assert endings(history) == [("complete", None), *[("error", "deadline_exceeded")] * 2]


def test_an_overload_told_within_an_answer_may_have_been_billed() -> None:
    """It was booked as free, as an overload told by its status is."""
    overloaded = Step(error_event=ErrorEvent(kind="overloaded"), when=When(stream=True))
    history = lived(vendor(overloaded), clients=[client(1, 0.0)])
    assert [each.billed_input for each in history.of(Attempted)] == [25] * len(history.of(Attempted))
    assert all(each.ceiling for each in history.of(Booked) if each.deployment is not None)


def test_who_leaves_while_it_is_written_to_is_no_error_of_ours() -> None:
    """The endpoint was said to have failed, with a traceback, for each of them."""
    leaving = [
        client(number, 0.0, behaviour=Behaviour(kind="leaves", after=after))
        for number, after in ((1, 1), (2, 3))
    ]
    quick = Step(tokens=200, delay=Delays())
    assert {how for how, _ in endings(lived(vendor(quick), clients=leaving, capacity=4096))} == {"left"}


def test_a_vendor_that_resets_used_connections_is_asked_four_times_at_most() -> None:
    """Each of its deployments got the request once for free, because its connection was stale."""
    keys = tuple([f"v0-key-{number}" for number in range(3)])
    resets = Step(act="reset", when=When(from_=5.0))
    before = [client(number, 0.0) for number in range(1, 8)]
    history = lived(vendor(resets, keys=keys), clients=[*before, client(8, 6.0, model="auto")], floor=1.0)
    assert len([each for each in history.of(Attempted) if each.request == 8]) == 4


def test_what_was_to_be_sent_during_a_standstill_is_not_sent_at_its_end() -> None:
    """Limits were exceeded: what had a lease for that time went out at once, and what came after it too."""
    narrow = vendor(limits=Limits(requests=20, burst=0.05))
    clients = [client(number, at) for number, at in ((1, 0.0), (2, 2.9), (3, 12.96))]
    history = lived(narrow, clients=clients, jumps=(Jump(at=2.95, seconds=10.0),))
    assert endings(history) == [("complete", None)] * 3
    assert [each.start_at for each in history.of(Granted)] == pytest.approx(
        [0.0, 3.0, 12.95, 15.95], abs=0.02
    )


def test_a_stream_whose_deadline_passes_during_a_standstill_is_told_so() -> None:
    """It was cut without a word."""
    history = lived(vendor(), clients=[client(1, 0.0, timeout=1.0)], jumps=(Jump(at=0.5, seconds=10.0),))
    assert endings(history) == [("broken", "deadline_exceeded")]


def test_the_like_of_what_crashed_an_actor_twice_is_served_again_after_five_minutes() -> None:
    """It was refused for as long as the process lived."""
    crashes = tuple([Crash(actor="router", at=at) for at in (0.0, 1.0)])
    history = lived(
        vendor(),
        clients=[client(number, at) for number, at in ((1, 0.0), (2, 1.0), (3, 2.0), (4, 310.0))],
        crashes=crashes,
    )
    crashed = ("error", "actor_crashed")
    assert endings(history) == [crashed, crashed, crashed, ("complete", None)]


def test_a_request_that_came_as_the_server_began_to_drain_is_served() -> None:
    """It was begun, and its connection closed as an idle one. Here both happen when a standstill ends."""
    crowd = [client(number, 1.0 + number / 10) for number in range(1, 21)]
    history = lived(vendor(), clients=crowd, jumps=(Jump(at=0.5, seconds=10.0),), drains_at=3.0, grace=20.0)
    assert [each.how for each in history.of(Ended) if each.how != "left"] == ["complete"] * 20

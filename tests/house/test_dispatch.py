"""The whole house in virtual time, with scripted vendors: what a caller notices."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
import trio
from llm_dispatcher.runtime import Dispatcher, Message, Request, TextDelta, errors
from trio.testing import MockClock

from tests.fakes.scripted import (
    Script,
    ScriptedTransport,
    answer,
    config,
    hang,
    piece,
    refuse,
    status,
    stream,
)

HELLO = Request(model="m", messages=[Message("user", "hello")])


@asynccontextmanager
async def house(
    settings: dict[str, Any] | None = None, /, **vendors: ScriptedTransport
) -> AsyncIterator[Dispatcher]:
    """A dispatcher over scripted vendors; afterwards nothing may be left behind."""
    dispatcher = Dispatcher.open(
        config(*vendors, **(settings or {})), transports=vendors, rng=random.Random(1)
    )
    async with dispatcher:
        yield dispatcher
        await trio.testing.wait_all_tasks_blocked()
        standing = await dispatcher.standing()
        assert all(
            each.in_flight == 0 for vendor in standing.values() for each in vendor.deployments.values()
        )
    assert all(vendor.open == 0 for vendor in vendors.values())


async def texts(dispatcher: Dispatcher, request: Request = HELLO) -> list[str]:
    async with dispatcher.stream(request) as events:
        return [event.text async for event in events if isinstance(event, TextDelta)]


async def test_a_reply_says_who_answered_and_what_it_cost(autojump_clock: MockClock) -> None:
    async with house(a=ScriptedTransport(answer("hi"))) as dispatcher:
        reply = await dispatcher.send(HELLO)
    assert (reply.text, reply.vendor, reply.deployment, reply.model) == ("hi", "a", "a/m", "m")
    assert reply.cost == Decimal("0.00002")
    assert [record.fault for record in reply.attempts] == [None]


async def test_a_failed_vendor_is_replaced_at_once_and_unseen(autojump_clock: MockClock) -> None:
    async with house(a=ScriptedTransport(status(500)), b=ScriptedTransport(answer())) as dispatcher:
        reply = await dispatcher.send(HELLO)
        assert trio.current_time() == 0
    assert [record.fault for record in reply.attempts] == ["server_error", None]
    assert reply.vendor == "b"


async def test_the_callers_own_mistake_is_tried_once(autojump_clock: MockClock) -> None:
    a, b = ScriptedTransport(status(400, "bad temperature", param="temperature")), ScriptedTransport(answer())
    async with house(a=a, b=b) as dispatcher:
        with pytest.raises(errors.RequestRejected, match="bad temperature") as caught:
            await dispatcher.send(HELLO)
    assert caught.value.status == 400
    assert caught.value.param == "temperature"
    assert (len(a.sent), len(b.sent)) == (1, 0)


async def test_a_lone_vendor_is_asked_again_after_a_back_off(autojump_clock: MockClock) -> None:
    a = ScriptedTransport(status(500), answer())
    async with house(
        {"retry": {"backoff": {"kind": "fixed", "base": "2s", "jitter": "none"}}}, a=a
    ) as dispatcher:
        await dispatcher.send(HELLO)
    assert [when for when, _ in a.sent] == [0, 2]


async def test_a_vendor_that_says_when_to_come_back_is_left_alone_until_then(
    autojump_clock: MockClock,
) -> None:
    a = ScriptedTransport(status(429, headers={"retry-after": "7"}), answer("from a"))
    b = ScriptedTransport(answer("from b"))
    async with house(a=a, b=b) as dispatcher:
        for second in range(8):
            reply = await dispatcher.send(HELLO)
            assert reply.text == ("from b" if second < 7 else "from a")
            await trio.sleep(1)
    assert [when for when, _ in a.sent] == [0, 7]


async def test_a_lone_limited_vendor_is_waited_for(autojump_clock: MockClock) -> None:
    a = ScriptedTransport(status(429, headers={"retry-after": "7"}), answer())
    async with house(a=a) as dispatcher:
        await dispatcher.send(HELLO)
    assert [when for when, _ in a.sent] == [0, 7]


async def test_at_most_three_attempts_are_made(autojump_clock: MockClock) -> None:
    vendors = {name: ScriptedTransport(status(503)) for name in "abcde"}
    async with house(**vendors) as dispatcher:
        with pytest.raises(errors.Overloaded) as caught:
            await dispatcher.send(HELLO)
    assert [record.vendor for record in caught.value.attempts] == ["a", "b", "c"]
    assert caught.value.status == 503


async def test_a_dead_vendor_is_not_asked_for_ever(autojump_clock: MockClock) -> None:
    a, b = ScriptedTransport(status(500)), ScriptedTransport(answer())
    async with house({"retry": {"budget": 1.0}}, a=a, b=b) as dispatcher:
        for _ in range(50):
            assert (await dispatcher.send(HELLO)).vendor == "b"
        standing = await dispatcher.standing()
    assert len(a.sent) == 5
    assert standing["a"].deployments["a/m"].circuit == "open"


async def test_an_unreachable_vendor_is_passed_over(autojump_clock: MockClock) -> None:
    async with house(a=ScriptedTransport(refuse()), b=ScriptedTransport(answer())) as dispatcher:
        reply = await dispatcher.send(HELLO)
    assert [record.fault for record in reply.attempts] == ["connect", None]


async def test_the_deadline_covers_everything(autojump_clock: MockClock) -> None:
    async with house(a=ScriptedTransport(hang())) as dispatcher:
        with pytest.raises(errors.DeadlinePassed) as caught:
            await dispatcher.send(Request(model="m", messages=HELLO.messages, timeout=12))
        assert trio.current_time() == 12
        assert caught.value.status == 504
        await trio.testing.wait_all_tasks_blocked()
        assert dispatcher.statistics().vendors["a"].errors == {"ttft_timeout": 1}


async def test_an_unknown_model_is_the_callers_mistake(autojump_clock: MockClock) -> None:
    async with house(a=ScriptedTransport(answer())) as dispatcher:
        with pytest.raises(errors.UnknownModel, match="nothing") as caught:
            await dispatcher.send(Request(model="nothing", messages=HELLO.messages))
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


async def test_a_stream_comes_piece_by_piece_and_adds_up(autojump_clock: MockClock) -> None:
    async with house(a=ScriptedTransport(stream("Hel", "lo", gap=1.0))) as dispatcher:
        async with dispatcher.stream(HELLO) as events:
            arrivals = [
                (event.text, trio.current_time()) async for event in events if isinstance(event, TextDelta)
            ]
        reply = events.reply
    assert arrivals == [("Hel", 2), ("lo", 3)]
    assert reply is not None
    assert (reply.text, reply.cost) == ("Hello", Decimal("0.000014"))


async def test_a_stream_that_fails_before_its_first_content_fails_over_unseen(
    autojump_clock: MockClock,
) -> None:
    for script in (
        status(500),
        Script(pieces=[piece("")], cut=True),
        Script(pieces=[piece(""), b'data: {"error": {"message": "overloaded"}}\n\n']),
        Script(pieces=[b"<html>"]),
    ):
        async with house(a=ScriptedTransport(script), b=ScriptedTransport(stream("ok"))) as dispatcher:
            assert await texts(dispatcher) == ["ok"]


async def test_a_vendor_without_a_first_token_is_given_up(autojump_clock: MockClock) -> None:
    settings = {"timeouts": {"first_token": "5s"}}
    silent = Script(pieces=[piece(""), b": ping\n\n"], hang=True)
    async with house(settings, a=ScriptedTransport(silent), b=ScriptedTransport(stream("ok"))) as dispatcher:
        assert await texts(dispatcher) == ["ok"]
        assert trio.current_time() == 5


@pytest.mark.parametrize("ending", ["cut", "hang", "end"])
async def test_a_stream_that_breaks_after_content_is_an_error_and_never_an_end(
    autojump_clock: MockClock, ending: str
) -> None:
    script = stream("one", "two", end=False, cut=ending == "cut", hang=ending == "hang")
    a, b = ScriptedTransport(script), ScriptedTransport(stream("other"))
    async with house({"timeouts": {"between_tokens": "9s"}}, a=a, b=b) as dispatcher:
        seen: list[str] = []

        async def listen() -> None:
            async with dispatcher.stream(HELLO) as events:
                async for event in events:
                    seen.extend([event.text] if isinstance(event, TextDelta) else [])

        with pytest.raises(errors.StreamTruncated) as caught:
            await listen()
        assert seen == ["one", "two"]
        assert caught.value.code == "upstream_interrupted"
        assert b.sent == []
        await trio.testing.wait_all_tasks_blocked()
        summary = dispatcher.statistics().vendors["a"]
        # No usage was reported: what had passed is counted by the house itself.
        assert (summary.failed, summary.estimated) == (1, 1)
        assert summary.output_tokens > 0


async def test_a_caller_who_is_slow_to_read_is_not_held_against_the_vendor(autojump_clock: MockClock) -> None:
    async with house(
        {"timeouts": {"between_tokens": "9s"}}, a=ScriptedTransport(stream("a", "b", "c"))
    ) as dispatcher:
        seen = []
        async with dispatcher.stream(HELLO) as events:
            async for event in events:
                seen.append(event)
                await trio.sleep(60)
        assert events.reply is not None
        assert events.reply.text == "abc"


async def test_a_caller_who_leaves_closes_the_connection_and_is_accounted(autojump_clock: MockClock) -> None:
    a = ScriptedTransport(stream("one", "two", "three", hang=True, end=False))
    async with house(a=a) as dispatcher:
        async with dispatcher.stream(HELLO) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
        assert a.open == 0
        await trio.testing.wait_all_tasks_blocked()
        summary = dispatcher.statistics().vendors["a"]
        assert summary.errors == {"client_gone": 1}
        assert summary.cost > 0


async def test_cancelling_a_request_gives_everything_back(autojump_clock: MockClock) -> None:
    a = ScriptedTransport(answer(after=10))
    async with house(a=a) as dispatcher:
        with trio.move_on_after(3):
            await dispatcher.send(HELLO)
        await trio.testing.wait_all_tasks_blocked()
        assert dispatcher.statistics().vendors["a"].errors == {"client_gone": 1}


async def test_requests_above_the_limit_wait_for_their_turn(autojump_clock: MockClock) -> None:
    a = ScriptedTransport(answer())
    settings = config("a")
    settings["vendors"][0]["limits"] = {"requests_per_minute": 60, "burst": 0.0}
    async with (
        Dispatcher.open(settings, transports={"a": a}) as dispatcher,
        trio.open_nursery() as callers,
    ):
        for _ in range(4):
            callers.start_soon(dispatcher.send, HELLO)
    assert [round(when, 6) for when, _ in a.sent] == [0, 1, 2, 3]


async def test_spilling_over_beats_waiting_when_another_vendor_is_free(autojump_clock: MockClock) -> None:
    settings = config("a", "b")
    settings["vendors"][0]["limits"] = {"requests_per_minute": 1}
    a, b = ScriptedTransport(answer()), ScriptedTransport(answer())
    async with Dispatcher.open(settings, transports={"a": a, "b": b}) as dispatcher:
        for _ in range(3):
            await dispatcher.send(HELLO)
    assert (len(a.sent), len(b.sent)) == (1, 2)


async def test_a_refused_key_takes_only_that_key_out(autojump_clock: MockClock) -> None:
    settings = config("a")
    vendor = settings["vendors"][0]
    del vendor["api_key"]
    vendor["api_keys"] = ["bad", "good"]
    a = ScriptedTransport(status(401), answer())
    async with Dispatcher.open(settings, transports={"a": a}) as dispatcher:
        for _ in range(5):
            assert (await dispatcher.send(HELLO)).deployment == "a/m#2"
    assert len(a.sent) == 6


async def test_a_callers_exception_leaves_as_it_is(autojump_clock: MockClock) -> None:
    with pytest.raises(ZeroDivisionError):
        async with house(a=ScriptedTransport(answer())):
            raise ZeroDivisionError


async def test_modes_order_the_vendors_and_change_nothing_else(autojump_clock: MockClock) -> None:
    settings = config("dear", "cheap")
    settings["vendors"][0]["models"] = [
        {"name": "big", "quality": 0.9, "price": {"input": "10", "output": "30"}}
    ]
    settings["vendors"][1]["models"] = [
        {"name": "small", "quality": 0.3, "price": {"input": "0.1", "output": "0.2"}}
    ]
    transports = {"dear": ScriptedTransport(answer()), "cheap": ScriptedTransport(answer())}
    async with Dispatcher.open(settings, transports=transports) as dispatcher:
        for mode, model in (("cost_saving", "small"), ("sophisticated", "big")):
            reply = await dispatcher.send(Request(model=mode, messages=HELLO.messages, temperature=0.3))
            assert reply.model == model
    bodies = [body for vendor in transports.values() for _, body in vendor.sent]
    assert all(set(body) == {"model", "messages", "temperature"} for body in bodies)


async def test_rules_send_users_and_kinds_elsewhere(autojump_clock: MockClock) -> None:
    settings = config(
        "a", "b", rules=[{"users": ["vip"], "route": "b/m"}, {"kinds": ["json"], "route": "b/m"}]
    )
    transports = {"a": ScriptedTransport(answer()), "b": ScriptedTransport(answer())}
    async with Dispatcher.open(settings, transports=transports) as dispatcher:
        assert (await dispatcher.send(HELLO)).vendor == "a"
        assert (await dispatcher.send(Request(model="m", messages=HELLO.messages, user="vip"))).vendor == "b"


async def test_a_policy_of_ones_own_orders_the_vendors(autojump_clock: MockClock) -> None:
    transports = {"a": ScriptedTransport(answer()), "b": ScriptedTransport(answer())}
    dispatcher = Dispatcher.open(
        config("a", "b", policy="backwards"),
        transports=transports,
        policies={"backwards": lambda candidates, view: list(reversed(candidates))},
    )
    async with dispatcher:
        assert (await dispatcher.send(HELLO)).vendor == "b"


@pytest.mark.parametrize("streamed", [False, True])
async def test_with_experience_a_slow_vendor_gets_company(autojump_clock: MockClock, streamed: bool) -> None:
    make = stream if streamed else answer
    a = ScriptedTransport(*[make("usual", after=1)] * 150, make("late", after=60))
    b = ScriptedTransport(make("quick", after=1))
    settings = {
        "routes": [{"name": "swift", "targets": ["a/m", "b/m"], "hedge": True}],
        "hedging": {"share": 1.0},
        "retry": {"budget": 1.0},
    }
    request = Request(model="swift", messages=HELLO.messages)

    async def ask(dispatcher: Dispatcher) -> str:
        return (
            "".join(await texts(dispatcher, request)) if streamed else (await dispatcher.send(request)).text
        )

    async with house(settings, a=a, b=b) as dispatcher:
        while len(a.sent) < 150:
            assert await ask(dispatcher) == "usual"
        begun = trio.current_time()
        assert await ask(dispatcher) == "quick"
        assert trio.current_time() - begun == pytest.approx(2, abs=0.1)
        await trio.testing.wait_all_tasks_blocked()
        assert dispatcher.statistics().requests == 151
        assert dispatcher.statistics().succeeded == 151


async def test_a_house_that_closes_settles_what_it_reads_on_for_the_bill(autojump_clock: MockClock) -> None:
    settings = config("a")
    settings["vendors"][0]["on_disconnect"] = "drain"
    a = ScriptedTransport(answer(after=100))
    async with Dispatcher.open(settings, transports={"a": a}) as dispatcher:
        with trio.move_on_after(1):
            await dispatcher.send(HELLO)
    assert trio.current_time() < 3
    assert a.open == 0
    assert dispatcher.statistics().vendors["a"].errors == {"client_gone": 1}

"""The faults of the specification's table that a vendor can show to the data plane, by their numbers there."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import trio
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime import Message, Request, TextDelta, errors
from llm_dispatcher.runtime.wire.client_errors import StaleConnection
from trio.testing import MockClock

from tests.fakes.control import Plane, plane
from tests.fakes.scripted import Script, ScriptedTransport, answer, piece, status, stream

HELLO = Request(model="m", messages=[Message("user", "hello")])
CHUNKED = {"content-type": "text/event-stream"}


async def texts(plane: Plane, request: Request = HELLO) -> list[str]:
    async with plane.stream(request) as events:
        return [event.text async for event in events if isinstance(event, TextDelta)]


async def broken(plane: Plane, request: Request = HELLO) -> tuple[list[str], errors.DispatchError]:
    """What a stream brought before its error, and that."""
    seen: list[str] = []

    async def listen() -> None:
        async with plane.stream(request) as events:
            async for event in events:
                seen.extend([event.text] if isinstance(event, TextDelta) else [])

    with pytest.raises(errors.DispatchError) as caught:
        await listen()
    return seen, caught.value


def vendors(*scripts: Script) -> dict[str, ScriptedTransport]:
    return {name: ScriptedTransport(script) for name, script in zip("abcde", scripts, strict=False)}


@pytest.mark.parametrize("code", [400, 422])
async def test_11_the_callers_own_mistake_is_sent_once_and_handed_back(
    autojump_clock: MockClock, code: int
) -> None:
    scripts = vendors(status(code, "no such parameter", param="top_q"), answer())
    async with plane(**scripts) as house:
        with pytest.raises(errors.RequestRejected, match="no such parameter") as caught:
            await house.send(HELLO)
        await trio.testing.wait_all_tasks_blocked()
        house.assert_at_rest()
    assert (caught.value.status, caught.value.param) == (code, "top_q")
    assert len(scripts["b"].sent) == 0
    assert house.settled[0].status == code


async def test_12_what_is_too_long_for_one_goes_once_to_a_larger_one(autojump_clock: MockClock) -> None:
    too_long = status(400, "too long", code="context_length_exceeded")
    sizes = {"a": 8_000, "b": 8_000, "c": 100_000}
    settings = {"each": {name: {"model": {"context": size}} for name, size in sizes.items()}}
    scripts = vendors(too_long, answer("small"), answer("large"))
    async with plane(settings, **scripts) as house:
        assert (await house.send(HELLO)).text == "large"
    assert [lease.deployment for lease in house.leases] == ["a/m", "c/m"]
    async with plane(**vendors(too_long)) as house:
        with pytest.raises(errors.RequestRejected) as caught:
            await house.send(HELLO)
    assert (caught.value.status, len(caught.value.attempts)) == (400, 1)


async def test_17_a_connection_that_was_closed_between_requests_costs_no_retry(
    autojump_clock: MockClock,
) -> None:
    class Sleepy(ScriptedTransport):
        """Has one stale connection at hand, and would use it again unless told otherwise."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if not request.extensions.get("fresh"):
                await trio.lowlevel.checkpoint()
                raise StaleConnection("a reused connection was closed")
            return await super().handle_async_request(request)

    settings = {"retry": {"budget": 0.0, "floor": 0.0, "attempts": 1}}
    async with plane(settings, a=Sleepy(answer())) as house:
        for _ in range(20):
            reply = await house.send(HELLO)
            assert [record.fault for record in reply.attempts] == ["stale_connection", None]
            assert [record.bill for record in reply.attempts] == ["released", "settled"]


async def test_17_twice_stale_is_once_too_often(autojump_clock: MockClock) -> None:
    stale = ScriptedTransport(Script(error=StaleConnection("closed")))
    async with plane(a=stale, b=ScriptedTransport(answer())) as house:
        reply = await house.send(HELLO)
    assert [record.vendor for record in reply.attempts] == ["a", "a", "b"]


@pytest.mark.parametrize(
    "script",
    [
        Script(hang=True),
        Script(pieces=[piece("")], hang=True),
        Script(pieces=[b": ping\n\n"] * 10_000, gap=0.5),
        Script(after=1e9),
    ],
    ids=["18 headers and silence", "18 a role and silence", "19 pings only", "18 no headers"],
)
async def test_silence_before_the_first_content_fails_over_and_may_have_been_billed(
    autojump_clock: MockClock, script: Script
) -> None:
    settings = {"timeouts": {"first_token": "5s"}}
    async with plane(settings, **vendors(script, stream("ok"))) as house:
        async with house.stream(HELLO) as events:
            assert trio.current_time() == 5
            assert events.attempts == 2
            assert [event.text async for event in events if isinstance(event, TextDelta)] == ["ok"]
        reply = events.reply
    assert reply is not None
    first, _ = reply.attempts
    assert (first.fault, first.bill) == ("ttft_timeout", "unknown")
    assert first.ceiling is not None
    assert first.cost is not None
    assert first.ceiling > first.cost
    assert house.settled[0].used is None


async def test_20_a_stall_after_fifty_tokens_is_an_error_at_the_limit_and_costs_what_came(
    autojump_clock: MockClock,
) -> None:
    script = stream(*["word"] * 50, end=False, hang=True)
    async with plane({"timeouts": {"between_tokens": "9s"}}, **vendors(script, stream("other"))) as house:
        seen, error = await broken(house)
        assert trio.current_time() == 9
        await trio.testing.wait_all_tasks_blocked()
        house.assert_at_rest()
    assert len(seen) == 50
    assert (type(error), error.code, error.kind) == (
        errors.StreamTruncated, "upstream_interrupted", FaultClass.STALLED,
    )  # fmt: skip
    (outcome,) = house.outcomes
    # 200 characters are more tokens than there were pieces; the larger count holds.
    assert outcome.spent.output_tokens == 58
    assert outcome.spent.estimated
    assert house.settled[0].used is not None
    assert not house.settled[0].exact


@pytest.mark.parametrize(
    "script",
    [
        stream("one", end=False),
        stream("one", end=False, cut=True),
        Script(pieces=[piece("one"), piece("two")[:-25]], cut=True),
        Script(pieces=[piece("one"), b'data: {"choices":[{"index":0,"delta":{"content":"\xe2\x82'], cut=True),
    ],
    ids=["21 no terminal event", "21 cut", "22 cut within an event", "22 cut within a character"],
)
async def test_a_stream_without_its_end_is_never_shown_as_complete(
    autojump_clock: MockClock, script: Script
) -> None:
    async with plane(**vendors(script, stream("other"))) as house:
        seen, error = await broken(house)
    assert seen == ["one"]
    assert error.kind is FaultClass.TRUNCATED
    assert error.attempts[-1].fault == "truncated"
    assert len(house.leases) == 1


@pytest.mark.parametrize("together", [False, True])
async def test_23_an_error_in_the_stream_before_content_is_made_good_unseen(
    autojump_clock: MockClock, together: bool
) -> None:
    error = (
        b'data: {"error": {"message": "busy", "type": "server_error", "code": "server_is_overloaded"}}\n\n'
    )
    pieces = [piece("") + error] if together else [piece(""), error]
    async with plane(**vendors(Script(pieces=pieces), stream("ok"))) as house:
        assert await texts(house) == ["ok"]


async def test_23_content_that_comes_in_one_piece_with_the_error_has_not_been_delivered(
    autojump_clock: MockClock,
) -> None:
    error = b'data: {"error": {"message": "busy"}}\n\n'
    async with plane(**vendors(Script(pieces=[piece("lost") + error]), stream("ok"))) as house:
        assert await texts(house) == ["ok"]
    assert house.settled[0].committed
    assert house.outcomes[0].spent.output_tokens > 0


async def test_24_after_content_it_is_one_error(autojump_clock: MockClock) -> None:
    error = b'data: {"error": {"message": "busy"}}\n\n'
    async with plane(**vendors(Script(pieces=[piece("one"), error, error]), stream("other"))) as house:
        seen, found = await broken(house)
    assert (seen, found.code) == (["one"], "upstream_interrupted")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("body", [b"{", b"<html>busy</html>", b"\xff\xfe", b"[]", b"data: {nonsense\n\n"])
async def test_25_what_cannot_be_read_fails_over(
    autojump_clock: MockClock, body: bytes, streamed: bool
) -> None:
    async with plane(**vendors(Script(pieces=[body]), stream("ok") if streamed else answer("ok"))) as house:
        found = "".join(await texts(house)) if streamed else (await house.send(HELLO)).text
    assert found == "ok"
    assert house.outcomes[0].fault in (FaultClass.MALFORMED, FaultClass.TRUNCATED)


@pytest.mark.parametrize(
    "endless",
    [
        Script(pieces=[b"data: "] + [b"x" * 65536] * 40),
        Script(pieces=[b": " + b"x" * 500_000 + b"\n\n"] * 200),
    ],
    ids=["26 an endless line", "26 endless comments"],
)
async def test_a_stream_without_bounds_is_broken_off(autojump_clock: MockClock, endless: Script) -> None:
    async with plane(**vendors(endless, stream("ok"))) as house:
        assert await texts(house) == ["ok"]
    assert house.outcomes[0].fault is FaultClass.OVERSIZED


async def test_26_an_endless_body_is_broken_off(autojump_clock: MockClock) -> None:
    endless = Script(pieces=[b" " * 2**20] * 100)
    async with plane(**vendors(endless, answer("ok"))) as house:
        assert (await house.send(HELLO)).text == "ok"
    assert house.outcomes[0].fault is FaultClass.OVERSIZED


async def test_27_a_drip_is_cut_off_within_its_minute(autojump_clock: MockClock) -> None:
    script = stream(*["x"] * 1000, end=False, gap=8.0)
    async with plane(**vendors(script, stream("other"))) as house:
        seen, error = await broken(house)
    # The first content came with the second piece, after 16 s.
    assert trio.current_time() == 16 + 60
    assert (len(seen), error.kind) == (8, FaultClass.SLOW_DRIP)


async def test_27_a_slow_caller_makes_no_drip(autojump_clock: MockClock) -> None:
    async with plane(**vendors(stream(*["x"] * 30))) as house:
        seen = 0
        async with house.stream(HELLO) as events:
            async for event in events:
                seen += isinstance(event, TextDelta)
                await trio.sleep(15)
        assert events.reply is not None
    assert seen == 30
    assert house.outcomes[0].fault is None


def empty(**more: Any) -> Script:
    script = answer("")
    body = httpx.Response(200, content=script.pieces[0]).json()
    body["choices"][0] |= more
    return Script(pieces=[httpx.Request("POST", "http://x", json=body).content])


async def test_28_an_answer_with_nothing_in_it_fails_over_and_is_paid(autojump_clock: MockClock) -> None:
    async with plane(**vendors(answer(""), answer("ok"))) as house:
        reply = await house.send(HELLO)
    assert reply.text == "ok"
    assert [(record.fault, record.bill) for record in reply.attempts] == [
        ("empty_ok", "estimated"),
        (None, "settled"),
    ]
    assert reply.cost is not None
    assert reply.cost > (reply.attempts[1].cost or 0)


async def test_28_a_stream_with_nothing_in_it_fails_over(autojump_clock: MockClock) -> None:
    async with plane(**vendors(stream(), stream("ok"))) as house:
        assert await texts(house) == ["ok"]
    assert house.outcomes[0].fault is FaultClass.EMPTY_OK


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_28_an_empty_answer_with_a_reason_is_an_answer(autojump_clock: MockClock, reason: str) -> None:
    async with plane(**vendors(empty(finish_reason=reason), answer("other"))) as house:
        assert (await house.send(HELLO)).text == ""
    ended = Script(pieces=[piece(""), piece(None, reason), b"data: [DONE]\n\n"])
    async with plane(**vendors(ended, stream("other"))) as house:
        assert await texts(house) == []


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "refusal": "I will not."},
        {
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}],
        },
        {"content": "", "audio": {"id": "a", "data": "UklGRg=="}},
    ],
    ids=["refusal", "tool call", "audio"],
)
async def test_28_an_answer_without_text_is_not_empty_if_it_says_something_else(
    autojump_clock: MockClock, message: dict[str, Any]
) -> None:
    script = empty(message={"role": "assistant", **message})
    async with plane(**vendors(script, answer("other"))) as house:
        assert (await house.send(HELLO)).vendor == "a"


async def test_28_a_stop_sequence_may_leave_nothing(autojump_clock: MockClock) -> None:
    request = Request(model="m", messages=HELLO.messages, stop=["h"])
    async with plane(**vendors(answer(""), answer("other"))) as house:
        assert (await house.send(request)).vendor == "a"

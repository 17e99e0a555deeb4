"""What the data plane makes of single faults, under a control plane that says yes; numbers are those of `tests.scenarios`."""

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
from tests.fakes.scripted import Script, ScriptedTransport, answer, piece, stream

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


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("body", [b"{", b"<html>busy</html>", b"\xff\xfe", b"[]", b"data: {nonsense\n\n"])
async def test_25_what_cannot_be_read_fails_over(
    autojump_clock: MockClock, body: bytes, streamed: bool
) -> None:
    async with plane(**vendors(Script(pieces=[body]), stream("ok") if streamed else answer("ok"))) as house:
        found = "".join(await texts(house)) if streamed else (await house.send(HELLO)).text
    assert found == "ok"
    assert house.outcomes[0].fault in (FaultClass.MALFORMED, FaultClass.TRUNCATED)


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

"""Requests over HTTP, against the scripted vendor on a real socket: what is measured, and how each failure is called."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest
import trio
from llm_dispatcher.benchmarks.load.histogram import Histogram
from llm_dispatcher.benchmarks.load.jobs import Job
from llm_dispatcher.benchmarks.load.targets import Address, Target, over_http
from llm_dispatcher.benchmarks.load.watch import Watch
from llm_dispatcher.benchmarks.vendor import ConnectionRule, ErrorEvent, Script, ScriptedVendor, Step, Stop

JOB = Job(7, 0.0, 12, 5)


@asynccontextmanager
async def served(
    script: Script, *, stream: bool = True, **address: Any
) -> AsyncGenerator[tuple[ScriptedVendor, Target]]:
    vendor = ScriptedVendor(script)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(vendor.listen, 0))
        where = Address(base=f"http://127.0.0.1:{port}", model="m", **address)
        async with over_http(where, stream=stream, timeout=10.0, connections=4) as target:
            yield vendor, target
        nursery.cancel_scope.cancel()


async def ask(target: Target, job: Job = JOB) -> Watch:
    now = trio.current_time()
    watch = Watch(now, now, Histogram())
    with trio.fail_after(10):
        await target.send(job, watch)
    watch.ended = trio.current_time()
    return watch


async def test_a_stream_is_measured_from_its_first_content_to_its_usage() -> None:
    async with served(Script(default=Step(tokens=9)), key="secret", headers={"x-team": "a"}) as world:
        vendor, target = world
        watch = await ask(target)
        assert watch.error is None
        assert watch.first is not None
        assert watch.started <= watch.first <= watch.ended
        # Five tokens were asked for, and the prompt has twelve.
        assert (watch.pieces, watch.input_tokens, watch.output_tokens) == (5, 12, 5)
        assert vendor.history[0].key == "secret"


async def test_a_plain_answer_has_no_first_content_of_its_own() -> None:
    async with served(Script(default=Step(text="twelve chars")), stream=False) as (_, target):
        watch = await ask(target)
        assert (watch.error, watch.first, watch.characters) == (None, None, 12)


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (Step(error="rate_limited"), "http 429", "Rate limit reached."),
        (Step(status=502, body="<h1>bad</h1>"), "http 502", "<h1>bad</h1>"),
        (
            Step(error_event=ErrorEvent(kind="overloaded", after_tokens=2)),
            "error within a stream",
            "overloaded",
        ),
        (Step(stop=Stop(after_tokens=2, how="end")), "silent end", "after 2 pieces"),
        (Step(stop=Stop(after_tokens=2, how="eof")), "connection lost", "closed"),
        (Step(act="close"), "connection lost", ""),
        (Step(spoil="malformed_json"), "garbage", "JSON"),
        (Step(spoil="html"), "no stream", "text/html"),
        (Step(omit=["finish", "terminal"]), "silent end", "without a finish reason"),
    ],
)
async def test_every_failure_of_a_stream_has_its_class(step: Step, error: str, message: str) -> None:
    async with served(Script(default=step)) as (_, target):
        watch = await ask(target)
        assert watch.error == error
        assert message in watch.message


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (Step(spoil="html"), "garbage"),
        (Step(json={"choices": []}), "garbage"),
        (Step(json={"error": {"message": "no"}}), "error in an answer of status 200"),
        (Step(stop=Stop(after_bytes=20)), "connection lost"),
    ],
)
async def test_every_failure_of_a_plain_answer_has_its_class(step: Step, error: str) -> None:
    async with served(Script(default=step), stream=False) as (_, target):
        assert (await ask(target)).error == error


async def test_a_stream_that_only_lacks_its_last_word_is_whole() -> None:
    async with served(Script(default=Step(omit=["terminal"]))) as (_, target):
        assert (await ask(target)).error is None


async def test_an_answer_that_is_complete_is_not_waited_on_for_its_bodys_end() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    event = b'data: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

    async def lingering(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(head + b"%x\r\n%s\r\n" % (len(event), event))
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        (listener, *_) = await nursery.start(partial(trio.serve_tcp, lingering, 0, host="127.0.0.1"))
        where = Address(base=f"http://127.0.0.1:{listener.socket.getsockname()[1]}", model="m")
        async with over_http(where, stream=True, timeout=10.0, connections=4) as target:
            watch = await ask(target)
        nursery.cancel_scope.cancel()
    assert (watch.error, watch.pieces) == (None, 1)
    assert watch.latency < 5


async def test_nobody_at_the_door_is_no_connection() -> None:
    rule = ConnectionRule(act="refuse")
    async with served(Script(connections=[rule])) as (_, target):
        assert (await ask(target)).error == "no connection"


async def test_a_kept_connection_that_was_closed_meanwhile_is_nobodys_failure() -> None:
    script = Script(default=Step(tokens=1), steps=[Step(tokens=1, then="close")])
    async with served(script) as (vendor, target):
        assert (await ask(target)).error is None
        await vendor.wait_idle()
        assert (await ask(target)).error is None
        assert vendor.statistics().accepted == 2


async def test_what_our_own_daemon_tells_is_taken_in() -> None:
    told = {"x-dispatch-vendor": "acme", "x-dispatch-cost": "0.25", "x-dispatch-attempts": "3"}
    async with served(Script(default=Step(headers=told)), stream=False) as (_, target):
        watch = await ask(target)
        assert (watch.vendor, str(watch.cost), watch.attempts) == ("acme", "0.25", 3)


@pytest.mark.parametrize(
    ("base", "endpoint"),
    [
        ("http://h:1", "http://h:1/v1/chat/completions"),
        ("http://h/v1/", "http://h/v1/chat/completions"),
        ("https://h/openai/v1", "https://h/openai/v1/chat/completions"),
        ("http://h/v1/chat/completions", "http://h/v1/chat/completions"),
        ("http://h/v1?api-version=1", "http://h/v1/chat/completions?api-version=1"),
    ],
)
def test_an_address_leads_to_chat_completions(base: str, endpoint: str) -> None:
    assert Address(base=base, model="m").endpoint == httpx.URL(endpoint)


@pytest.mark.parametrize("base", ["", "localhost:4000", "ftp://h", "http://", "http://h:port"])
def test_what_is_no_address_is_said_to_be_none(base: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        Address(base=base, model="m").endpoint  # noqa: B018 - it is made when it is asked for


def test_an_address_keeps_its_key_to_itself() -> None:
    assert "secret" not in repr(Address(base="http://h", model="m", key="secret", headers={"x": "secret"}))

"""Streams as a client of the daemon sees them: bytes on the wire, and how they end."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
import structlog
import trio
from llm_dispatcher.runtime import Dispatcher
from llm_dispatcher.runtime.gateway.app import EXTENSION, Gateway
from trio.testing import MockClock

from tests.fakes.scripted import Script, ScriptedTransport, answer, config, status, stream


class Client:
    """Sends one chat request over ASGI, and keeps what comes back. `pause`: seconds that it takes for each piece;
    `takes`: after so many it has left."""

    def __init__(
        self,
        *,
        pause: float = 0.0,
        takes: int | None = None,
        headers: Mapping[str, str] | None = None,
        **body: Any,
    ) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.ended = False
        self._pause = pause
        self._takes = takes
        chat = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": True, **body}
        self._body = msgspec.json.encode(chat)
        self._headers = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]

    async def receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def send(self, message: dict[str, Any]) -> None:
        if self._takes is not None and len(self.pieces) >= self._takes:
            raise ConnectionResetError("the client has left")
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        await trio.sleep(self._pause)
        self.pieces.append(message.get("body", b""))
        self.ended = not message.get("more_body", False)

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def events(self) -> list[Any]:
        lines = [
            line.removeprefix(b"data: ") for line in self.body.split(b"\n\n") if line.startswith(b"data: {")
        ]
        return [msgspec.json.decode(line) for line in lines]

    async def run(self, settings: dict[str, Any], transports: dict[str, ScriptedTransport]) -> None:
        scope = {
            "type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": self._headers,
            "extensions": {EXTENSION: {}},
        }  # fmt: skip
        async with Dispatcher.open(settings, transports=transports, rng=random.Random(1)) as dispatcher:
            await Gateway(dispatcher)(scope, self.receive, self.send)
        assert all(transport.open == 0 for transport in transports.values())


BREAKS = stream("Once", end=False, cut=True)


async def test_a_broken_stream_ends_with_one_error_event_and_without_an_end(
    autojump_clock: MockClock,
) -> None:
    client = Client()
    await client.run(config("a"), {"a": ScriptedTransport(BREAKS)})
    *before, last = client.events()
    assert [event["choices"][0]["finish_reason"] for event in before] == [None] * len(before)
    error = last["error"]
    assert error["code"] == "upstream_interrupted"
    assert (error["x_dispatch"]["class"], error["x_dispatch"]["vendor"], error["x_dispatch"]["attempt"]) == (
        "truncated", "a", 1,
    )  # fmt: skip
    assert b"[DONE]" not in client.body
    # The body has no end, so the server closes the connection.
    assert not client.ended


async def test_a_whole_stream_has_its_end(autojump_clock: MockClock) -> None:
    client = Client()
    await client.run(config("a"), {"a": ScriptedTransport(stream("hi"))})
    assert client.ended
    assert client.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(("word", "mark"), [("continue", "seam"), ("restart", "restart")])
async def test_a_client_can_ask_for_another_vendor_to_take_over(
    autojump_clock: MockClock, word: str, mark: str
) -> None:
    settings = config("a", "b")
    settings["vendors"][1]["models"][0]["capabilities"] = ["prefill"]
    client = Client(headers={"x-dispatch-midstream": word})
    transports = {"a": ScriptedTransport(BREAKS), "b": ScriptedTransport(stream(" more"))}
    await client.run(settings, transports)
    (told,) = [event["x_dispatch"] for event in client.events() if "x_dispatch" in event]
    assert told[mark] == {"before": "a/m", "after": "b/m", "model": "m", "class": "truncated"}
    assert f": x-dispatch-{mark} a/m -> b/m\n\n".encode() in client.body
    assert client.ended
    assert client.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("header", "value"), [("x-dispatch-midstream", "perhaps"), ("x-dispatch-hedge", "1"), ("x-dispatch-timeout", "soon")]
)  # fmt: skip
async def test_a_header_that_makes_no_sense_is_refused(
    autojump_clock: MockClock, header: str, value: str
) -> None:
    client = Client(headers={header: value})
    await client.run(config("a"), {"a": ScriptedTransport(stream("hi"))})
    assert client.status == 400
    assert msgspec.json.decode(client.body)["error"]["param"] == header


async def test_a_client_that_stops_reading_is_cut_at_its_deadline(autojump_clock: MockClock) -> None:
    a = ScriptedTransport(stream("a", "b", "c"))
    client = Client(pause=30, headers={"x-dispatch-timeout": "40s"})
    await client.run(config("a"), {"a": a})
    assert trio.current_time() == pytest.approx(40.2, abs=0.05)
    assert not client.ended


async def test_a_loop_that_stood_still_over_the_deadline_still_says_so(mock_clock: MockClock) -> None:
    client = Client(headers={"x-dispatch-timeout": "5s"})
    a = ScriptedTransport(stream("a", "b", gap=1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run, config("a"), {"a": a})
        for seconds in (0, 1, 1, 10):
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(seconds)
    assert client.events()[-1]["error"]["code"] == "deadline_exceeded"
    assert not client.ended


@pytest.mark.parametrize(
    ("takes", "streamed", "answers"),
    [
        (0, True, status(400)),
        (0, True, stream("hi")),
        (2, True, stream("a", "b", "c")),
        (0, False, answer("hi")),
    ],
)
async def test_a_client_that_leaves_while_it_is_written_to_is_no_failure_of_ours(
    autojump_clock: MockClock, takes: int, streamed: bool, answers: Any
) -> None:
    client = Client(takes=takes, stream=streamed)
    with structlog.testing.capture_logs() as logs:
        await client.run(config("a"), {"a": ScriptedTransport(answers)})
    assert [each for each in logs if each["log_level"] == "error"] == []


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_out_of_panic_is_marked(autojump_clock: MockClock, streamed: bool) -> None:
    settings = config("a", retry={"attempts": 1}, breaker={"consecutive_failures": 1, "open_time": "60s"})
    good = stream("hi") if streamed else answer("hi")
    transports = {"a": ScriptedTransport(status(500), good)}
    async with Dispatcher.open(settings, transports=transports, rng=random.Random(1)) as dispatcher:
        for expected in (None, "true"):
            client = Client(stream=streamed)
            scope = {
                "type": "http",
                "method": "POST",
                "path": "/v1/chat/completions",
                "headers": [],
                "extensions": {EXTENSION: {}},
            }
            await Gateway(dispatcher)(scope, client.receive, client.send)
            assert client.headers.get("x-dispatch-panic") == expected
    assert client.status == 200


async def test_attempts_are_told_so_that_nobody_stacks_his_own(autojump_clock: MockClock) -> None:
    client = Client()
    transports = {"a": ScriptedTransport(status(503)), "b": ScriptedTransport(stream("hi"))}
    await client.run(config("a", "b"), transports)
    assert client.headers["x-dispatch-attempts"] == "2"


@pytest.mark.parametrize("together", [True, False])
async def test_events_that_came_together_are_sent_together_and_others_are_not_kept_waiting(
    autojump_clock: MockClock, together: bool
) -> None:
    script = stream("One ", "two ", "three")
    opening, *words = script.pieces[:4]
    rest = script.pieces[4:]
    pieces = [opening, words[0], b"".join(words[1:])] if together else [opening, *words]
    client = Client()
    await client.run(config("a"), {"a": ScriptedTransport(Script(pieces=[*pieces, *rest], gap=1.0))})
    said = [piece.count(b'"content":"') for piece in client.pieces]
    assert [count for count in said if count] == ([1, 2] if together else [1, 1, 1])
    contents = [event["choices"][0]["delta"].get("content", "") for event in client.events()]
    assert "".join(contents) == "One two three"

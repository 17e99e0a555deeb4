"""Each fault of a script is what it says, as a client sees it; in virtual time, over streams in memory."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
import trio
from llm_dispatcher.benchmarks.vendor import (
    ConnectionRule,
    Delays,
    ErrorEvent,
    MemoryNetwork,
    MemoryStream,
    Quota,
    Script,
    ScriptedVendor,
    Step,
    Stop,
    When,
    memory_pair,
)
from llm_dispatcher.runtime.wire.client import NameNotResolved, StaleConnection, TLSFailed
from trio.testing import MockClock

from tests.benchmarks.vendor import WALL, as_answer, simulated

FORMATS = ["openai", "anthropic", "gemini"]


def default(**step: Any) -> Script:
    return Script(default=Step(**{"tokens": 5} | step))


# --- before any answer --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "error"),
    [("refuse", httpx.ConnectError), ("unresolved", NameNotResolved), ("untrusted", TLSFailed), ("reset", httpx.ReadError)],
)  # fmt: skip
async def test_connections_fail_as_the_script_says_and_then_heal(
    autojump_clock: MockClock, act: Any, error: type[Exception]
) -> None:
    script = Script(connections=[ConnectionRule(act=act, window=When(until=60))])
    async with simulated(script) as world:
        with pytest.raises(error):
            await world.ask()
        await trio.sleep(60)
        assert (await world.ask()).status == 200
        assert world.vendor.statistics().turned_away == 1


@pytest.mark.parametrize(("act", "error"), [("drop", httpx.ConnectTimeout), ("blackhole", httpx.ReadTimeout)])
async def test_a_black_hole_lasts_until_the_client_gives_up(
    autojump_clock: MockClock, act: Any, error: type[Exception]
) -> None:
    async with simulated(Script(connections=[ConnectionRule(act=act, nth=1)])) as world:
        with pytest.raises(error):
            await world.ask(timeout=3)
        assert trio.current_time() == 3
        assert (await world.ask()).status == 200


async def test_open_connections_are_reset_while_nothing_listens(autojump_clock: MockClock) -> None:
    refusal = ConnectionRule(act="refuse", window=When(from_=10, until=70))
    async with simulated(Script(connections=[refusal])) as world:
        assert (await world.ask()).status == 200
        await trio.sleep(10)
        with pytest.raises(StaleConnection):
            await world.ask()
        with pytest.raises(httpx.ConnectError):
            await world.ask()


@pytest.mark.parametrize(("act", "error"), [("close", httpx.RemoteProtocolError), ("reset", httpx.ReadError)])
async def test_a_request_can_be_met_with_the_connections_end(
    autojump_clock: MockClock, act: Any, error: type[Exception]
) -> None:
    async with simulated(Script(steps=[Step(act=act, delay=Delays(before_head=2))])) as world:
        with pytest.raises(error):
            await world.ask()
        assert trio.current_time() == 2
        (attempt,) = world.vendor.history
        assert (attempt.outcome, attempt.status, attempt.billed_input) == ("unanswered", None, 0)


async def test_keep_alive_connections_can_be_closed_between_requests(autojump_clock: MockClock) -> None:
    async with simulated(Script(steps=[Step(then="close")])) as world:
        assert (await world.ask(stream=False)).error is None
        with pytest.raises(StaleConnection):
            await world.ask(stream=False)
    async with simulated(Script(keep_alive=5)) as world:
        assert (await world.ask(stream=False)).error is None
        await trio.sleep(5.1)
        with pytest.raises(StaleConnection):
            await world.ask(stream=False)


# --- refusals and hints -------------------------------------------------------------------------


async def test_a_hint_to_retry_comes_in_every_spelling(autojump_clock: MockClock) -> None:
    styles: list[Any] = ["seconds", "date", "ms", "body"]
    steps = [
        Step(error="rate_limited", retry_after=6.2, retry_style=[style], date_skew=3600) for style in styles
    ]
    async with simulated(Script(steps=steps)) as world:
        seconds, date, milliseconds, in_body = [await world.ask(format="gemini") for _ in styles]
        assert seconds.headers["retry-after"] == "7"
        when, now = (parsedate_to_datetime(date.headers[name]) for name in ("retry-after", "date"))
        assert (when - now).total_seconds() == 7
        assert now.timestamp() == WALL + 3600
        assert milliseconds.headers["retry-after-ms"] == "6200"
        assert b'"retryDelay":"6.2s"' in in_body.body
        for seen in (seconds, date, milliseconds, in_body):
            hint = world.dialect("gemini").fault(as_answer(seen)).retry_after
            assert hint == pytest.approx(6.2, abs=0.81)
            assert hint is not None
            assert hint >= 6.2


async def test_limit_headers_are_spelt_as_the_vendor_spells_them(autojump_clock: MockClock) -> None:
    quota = {
        "requests": Quota(limit=60, remaining=0, reset=90.5),
        "tokens": Quota(limit=10, remaining=3, reset=0.12),
    }
    script = default(quota=quota)  # fmt: skip
    async with simulated(script) as world:
        openai = (await world.ask(stream=False)).headers
        assert openai["x-ratelimit-remaining-requests"] == "0"
        assert openai["x-ratelimit-reset-requests"] == "1m30.5s"
        assert openai["x-ratelimit-reset-tokens"] == "120ms"
        anthropic = (await world.ask(stream=False, format="anthropic")).headers
        assert anthropic["anthropic-ratelimit-tokens-limit"] == "10"
        assert anthropic["anthropic-ratelimit-requests-reset"] == "2027-01-15T08:01:31Z"
        assert not [name for name in (await world.ask(format="gemini")).headers if "ratelimit" in name]


async def test_body_status_and_headers_can_be_given_word_for_word(autojump_clock: MockClock) -> None:
    steps = [
        Step(status=418, body="no tea", content_type="text/plain", headers={"X-Mine": "1"}),
        Step(status=200, json={"error": {"message": "not so good"}}),
        Step(status=503),
    ]
    async with simulated(Script(steps=steps)) as world:
        first, second, third = [await world.ask() for _ in steps]
        assert (first.status, first.body, first.headers["x-mine"]) == (418, b"no tea", "1")
        assert (second.status, second.body) == (200, b'{"error":{"message":"not so good"}}')
        assert third.status == 503
        assert b"service is unavailable" in third.body
        assert [each.outcome for each in world.vendor.history] == ["refused", "complete", "refused"]


# --- time ---------------------------------------------------------------------------------------


async def test_each_phase_takes_the_time_that_the_script_gives_it(autojump_clock: MockClock) -> None:
    script = default(tokens=3, delay=Delays(before_head=1, first_event=2, between="500ms"))
    async with simulated(script) as world:
        response = await world.open()
        assert trio.current_time() == 1
        arrivals = []
        async for piece in response.aiter_raw():
            arrivals += [trio.current_time()] * piece.count(b'"content":"')
        # The opening event and the first token, and then one token each half second.
        assert arrivals == [3, 3, 3.5, 4]
        assert (await world.ask(stream=False)).error is None
        assert trio.current_time() == 4 + 4


async def test_a_drip_sends_so_many_bytes_a_second(autojump_clock: MockClock) -> None:
    async with simulated(Script(steps=[Step(body="x" * 100, drip=4)])) as world:
        await world.ask(stream=False)
        assert trio.current_time() == pytest.approx(25)


async def test_pings_alone_are_no_content(autojump_clock: MockClock) -> None:
    for name in FORMATS:
        script = default(pings=3, stop=Stop(after_tokens=0, how="stall"), delay=Delays(between=10))
        async with simulated(script) as world:
            started = trio.current_time()
            seen = await world.ask(format=name, timeout=15)
            assert isinstance(seen.error, httpx.ReadTimeout)
            # The first ping comes with the head where there is no opening event to come with it.
            assert trio.current_time() - started == (35 if name == "gemini" else 45)
            assert seen.body.count(b"ping" if name == "anthropic" else b": keep-alive") >= 3
            assert world.vendor.history[0].sent_tokens == 0


# --- streams that break off ---------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("end", None),
        ("eof", httpx.RemoteProtocolError),
        ("reset", httpx.ReadError),
        ("stall", httpx.ReadTimeout),
    ],
)
async def test_a_stream_breaks_off_after_so_many_tokens(
    autojump_clock: MockClock, format: str, how: Any, error: type[Exception] | None
) -> None:
    async with simulated(default(tokens=9, stop=Stop(after_tokens=4, how=how))) as world:
        seen = await world.ask(format=format, timeout=30)
        assert (seen.error is None) if error is None else isinstance(seen.error, error)
        attempt = world.vendor.history[0]
        assert (attempt.sent_tokens, attempt.planned_tokens, attempt.outcome) == (4, 9, "broken")
        assert attempt.delivered is (how == "end")
        assert (attempt.client_closed_at is not None) is (how == "stall")
        for terminal in (b"[DONE]", b"message_stop", b"finishReason"):
            assert terminal not in seen.body


@pytest.mark.parametrize("how", ["eof", "reset"])
async def test_a_stream_can_break_off_within_an_event_and_within_a_character(
    autojump_clock: MockClock, how: Any
) -> None:
    for where in ("mid_event", "mid_character"):
        stop = Stop(after_tokens=2, how=how, where=where)
        async with simulated(default(stop=stop)) as world:
            seen = await world.ask()
            assert seen.error is not None
            assert not seen.body.endswith(b"\n\n")
            if where == "mid_character":
                with pytest.raises(UnicodeDecodeError):
                    seen.body.decode()
            assert world.vendor.history[0].sent_tokens == 2


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_can_break_off_after_so_many_bytes(autojump_clock: MockClock, stream: bool) -> None:
    for count in (0, 1, 100):
        async with simulated(default(stop=Stop(after_bytes=count))) as world:
            seen = await world.ask(stream=stream)
            assert len(seen.body) == count
            assert seen.error is not None


async def test_events_are_counted_and_pings_are_not(autojump_clock: MockClock) -> None:
    async with simulated(default(pings=2, stop=Stop(after_events=3, how="end"))) as world:
        seen = await world.ask()
        assert (len(seen.data), seen.body.count(b": keep-alive")) == (3, 2)
        assert world.vendor.history[0].sent_tokens == 2


async def test_headers_and_then_silence(autojump_clock: MockClock) -> None:
    async with simulated(default(stop=Stop(after_events=0, how="stall"))) as world:
        seen = await world.ask(timeout=7)
        assert (seen.status, seen.body) == (200, b"")
        assert isinstance(seen.error, httpx.ReadTimeout)
        assert world.vendor.history[0].client_closed_at == 7


async def test_an_answer_that_ends_before_the_cut_is_whole(autojump_clock: MockClock) -> None:
    for stop in (Stop(after_tokens=6), Stop(after_bytes=10**6), Stop(after_events=50)):
        async with simulated(default(stop=stop)) as world:
            assert (await world.ask()).error is None
            assert world.vendor.history[0].outcome == "complete"


# --- what a stream says -------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("after", [0, 3])
async def test_an_error_event_comes_after_so_many_tokens(
    autojump_clock: MockClock, format: str, after: int
) -> None:
    script = default(error_event=ErrorEvent(kind="overloaded", after_tokens=after))
    async with simulated(script) as world:
        seen = await world.ask(format=format)
        assert seen.error is None
        assert b"overloaded" in seen.body
        assert (world.vendor.history[0].sent_tokens, world.vendor.history[0].outcome) == (after, "broken")


@pytest.mark.parametrize(
    ("format", "part", "words"),
    [
        ("openai", "terminal", b"[DONE]"),
        ("openai", "finish", b'"finish_reason":"stop"'),
        ("openai", "usage", b"usage"),
        ("openai", "opening", b'"role"'),
        ("anthropic", "terminal", b"message_stop"),
        ("anthropic", "finish", b"end_turn"),
        ("anthropic", "usage", b"usage"),
        ("anthropic", "opening", b"message_start"),
        ("gemini", "terminal", b"finishReason"),
        ("gemini", "finish", b"finishReason"),
        ("gemini", "usage", b"usageMetadata"),
    ],
)
async def test_a_part_of_a_stream_can_be_left_out(
    autojump_clock: MockClock, format: str, part: Any, words: bytes
) -> None:
    async with simulated(Script(steps=[Step(tokens=3)], default=Step(tokens=3, omit=[part]))) as world:
        assert words in (await world.ask(format=format)).body
        seen = await world.ask(format=format)
        assert words not in seen.body
        assert seen.error is None


@pytest.mark.parametrize("format", FORMATS)
async def test_events_without_content_come_before_it(autojump_clock: MockClock, format: str) -> None:
    async with simulated(Script(steps=[Step(tokens=2, empty_events=4)], default=Step(tokens=2))) as world:
        more, fewer = [len((await world.ask(format=format)).data) for _ in range(2)]
        assert more - fewer == 4
        assert world.vendor.history[0].sent_tokens == 2


# --- garbage ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
async def test_garbage_is_what_it_says(autojump_clock: MockClock, stream: bool) -> None:
    kinds: list[Any] = ["html", "empty", "malformed_json", "bad_chunk_size"]
    # The drip parts the body from its head, so that the one is never refused for the other.
    script = Script(steps=[Step(tokens=5, spoil=kind, spoil_after=2, drip=1e5) for kind in kinds])
    async with simulated(script) as world:
        html, empty, malformed, chunk = [await world.ask(stream=stream) for _ in kinds]
        assert (html.status, html.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert html.body.startswith(b"<!DOCTYPE html>")
        assert (empty.status, empty.body, empty.error) == (200, b"", None)
        assert malformed.error is None
        if stream:
            assert b'"index": 0,, \n\n' in malformed.body
            assert malformed.body.endswith(b"data: [DONE]\n\n")
        else:
            with pytest.raises(ValueError, match=r"."):
                httpx.Response(200, content=malformed.body).json()
        assert isinstance(chunk.error, httpx.RemoteProtocolError)
        assert [each.outcome for each in world.vendor.history] == ["broken"] * 4
        assert [each.sent_tokens for each in world.vendor.history][3] == (2 if stream else 0)


@pytest.mark.parametrize(("spoil", "ends"), [("endless_line", 0), ("huge_body", 1)])
async def test_huge_bodies_are_sent_only_as_far_as_they_are_read(
    autojump_clock: MockClock, spoil: Any, ends: int
) -> None:
    async with simulated(default(spoil=spoil)) as world:
        response = await world.open()
        pieces = response.stream
        assert isinstance(pieces, httpx.AsyncByteStream)
        iterator, taken = aiter(pieces), b""
        while len(taken) <= 10**6:
            taken += await anext(iterator)
        await pieces.aclose()
        await world.vendor.wait_idle()
        attempt = world.vendor.history[0]
        assert attempt.outcome == "client_closed"
        assert 10**6 < attempt.bytes_sent < 1.3 * 10**6
        assert min(1, taken.count(b"\n\n")) == ends


async def test_a_huge_head_is_more_than_a_client_takes(autojump_clock: MockClock) -> None:
    async with simulated(default(spoil="huge_head")) as world:
        with pytest.raises(httpx.RemoteProtocolError):
            await world.ask()


async def test_the_bytes_can_be_cut_anywhere(autojump_clock: MockClock) -> None:
    class Recorded(MemoryStream):
        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            sizes.append(len(data))
            await super().send_all(data)

    sizes: list[int] = []
    request = b'{"model": "m", "messages": []}'
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: v\r\ncontent-length: %d\r\n\r\n" % len(request)
    vendor = ScriptedVendor(Script(default=Step(slice=7, text="Grüße, wohin auch immer")))
    mine, theirs = memory_pair()
    theirs.__class__ = Recorded
    async with trio.open_nursery() as nursery:
        nursery.start_soon(vendor.serve_stream, theirs)
        await mine.send_all(head + request)
        await trio.testing.wait_all_tasks_blocked()
        assert "Grüße, wohin auch immer" in (await mine.receive_some()).decode()
        mine.close()
    assert max(sizes) == 7
    assert sum(sizes) == vendor.history[0].bytes_sent


async def test_a_body_can_end_with_the_connection(autojump_clock: MockClock) -> None:
    async with simulated(default(framing="close")) as world:
        for stream in (True, False):
            seen = await world.ask(stream=stream)
            assert seen.error is None
            assert not {"content-length", "transfer-encoding"} & set(seen.headers)
        assert [each.outcome for each in world.vendor.history] == ["complete", "complete"]
        assert world.network.dialled == 2


async def test_a_name_without_a_vendor_is_not_resolved(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork({"a.test": ScriptedVendor()}, nursery)
        with pytest.raises(OSError, match="no such name"):
            await network.dial("b.test", 443)

"""The vendor on real sockets, seen by plain httpx and by the product's own transport."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import msgspec
import pytest
import trio
import trustme
from llm_dispatcher.benchmarks.vendor import (
    ConnectionRule,
    Delays,
    Limit,
    Script,
    ScriptedVendor,
    Step,
    Stop,
    When,
)
from llm_dispatcher.runtime.wire.client import TLSFailed, TrioTransport

from tests.benchmarks.vendor import served

BOTH = pytest.mark.parametrize("plain", [True, False], ids=["httpx", "own transport"])


@BOTH
@pytest.mark.parametrize("format", ["openai", "anthropic", "gemini"])
async def test_answers_arrive_whole_over_one_connection(plain: bool, format: str) -> None:
    async with served(Script(default=Step(tokens=5)), plain=plain) as world:
        for stream in (True, False, True):
            seen = await world.ask(format=format, stream=stream)
            assert (seen.status, seen.error) == (200, None)
        assert [each.outcome for each in world.vendor.history] == ["complete"] * 3
        assert [each.delivered for each in world.vendor.history] == [True] * 3
        assert world.vendor.statistics().accepted == 1
        assert world.vendor.meter.total.output_tokens == 15


@BOTH
@pytest.mark.parametrize(
    ("how", "error"), [("end", None), ("eof", httpx.RemoteProtocolError), ("reset", httpx.ReadError)]
)
async def test_streams_break_off_on_the_wire(plain: bool, how: Any, error: type[Exception] | None) -> None:
    # Apart from the last event, so that what was sent has been read when the reset comes.
    step = Step(tokens=9, stop=Stop(after_tokens=3, how=how, where="mid_event"), delay=Delays(between=0.005))
    async with served(Script(default=step), plain=plain) as world:
        seen = await world.ask()
        assert (seen.error is None) if error is None else isinstance(seen.error, error)
        assert seen.body.count(b'"content"') >= 3 if how != "reset" else True
        assert world.vendor.history[0].sent_tokens == 3


@BOTH
async def test_a_reset_before_the_answer_is_an_rst(plain: bool) -> None:
    async with served(Script(steps=[Step(act="reset")]), plain=plain) as world:
        with pytest.raises(httpx.ReadError):
            await world.ask()
        assert (await world.ask()).status == 200


async def test_the_vendor_notices_at_once_that_a_client_has_left() -> None:
    async with served(Script(default=Step(stop=Stop(after_tokens=2, how="stall")))) as world:
        response = await world.open()
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        pieces, taken = aiter(stream), b""
        while taken.count(b'"content":"') < 3:
            taken += await anext(pieces)
        await response.aclose()
        with trio.fail_after(5):
            await world.vendor.wait_idle()
        attempt = world.vendor.history[0]
        assert attempt.client_closed_at is not None
        assert attempt.outcome == "broken"


@BOTH
async def test_nothing_listens_while_connections_are_refused_and_then_it_heals(plain: bool) -> None:
    refused = ConnectionRule(act="refuse", window=When(until=3600))
    async with served(Script(connections=[refused]), plain=plain) as world:
        with pytest.raises(httpx.ConnectError):
            await world.ask()
        world.vendor.play(Script(connections=[ConnectionRule(act="refuse", window=When(until=0.05))]))
        with trio.fail_after(5):
            while True:
                try:
                    assert (await world.ask()).status == 200
                    break
                except httpx.ConnectError:
                    await trio.sleep(0.01)
        assert world.vendor.elapsed >= 0.05
        assert world.vendor.statistics().accepted == 1


async def test_what_only_a_simulated_network_can_play_is_refused_on_sockets() -> None:
    vendor = ScriptedVendor(Script(connections=[ConnectionRule(act="untrusted")]))
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="simulated network only")):
        async with trio.open_nursery() as nursery:
            await nursery.start(vendor.listen)


@pytest.mark.parametrize("expired", [False, True])
async def test_a_certificate_can_be_as_bad_as_one_likes(expired: bool) -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    until = datetime.now(UTC) + timedelta(days=-1 if expired else 1)
    authority.issue_cert("localhost", not_after=until).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    vendor = ScriptedVendor()
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(vendor.listen, ssl_context=server))
        async with TrioTransport(ssl_context=client) as transport:
            body = b'{"model": "m", "messages": [], "stream": true}'
            url = f"https://localhost:{port}/v1/chat/completions"
            request = httpx.Request("POST", url, content=body)
            if expired:
                with pytest.raises(TLSFailed, match="expired"):
                    await transport.handle_async_request(request)
            else:
                response = await transport.handle_async_request(request)
                assert b"[DONE]" in await response.aread()
                await response.aclose()
        nursery.cancel_scope.cancel()


async def test_requests_that_came_too_early_are_answered_in_their_turn() -> None:
    body = b'{"model": "m", "messages": []}'
    request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: v\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )
    async with served(Script(default=Step(tokens=2))) as world:
        port = httpx.URL(world.origin).port
        async with await trio.open_tcp_stream("127.0.0.1", port or 0) as stream:
            await stream.send_all(request * 3)
            received = b""
            while received.count(b'"usage"') < 3:
                received += await stream.receive_some()
        assert [each.connection for each in world.vendor.history] == [1, 1, 1]


@pytest.mark.parametrize(
    ("bytes_", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST /v1/elsewhere HTTP/1.1\r\nhost: v\r\ncontent-length: 0\r\n\r\n", b"404"),
        (b"GET /v1/chat/completions HTTP/1.1\r\nhost: v\r\n\r\n", b"404"),
    ],
)
async def test_what_is_no_request_of_any_format_is_no_attempt(bytes_: bytes, status: bytes) -> None:
    async with served() as world:
        async with await trio.open_tcp_stream("127.0.0.1", httpx.URL(world.origin).port or 0) as stream:
            await stream.send_all(bytes_)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 " + status)
        assert world.vendor.history == []


# --- the books over HTTP ------------------------------------------------------------------------


async def test_the_books_can_be_read_and_the_script_changed_over_http() -> None:
    script = Script(limits=[Limit(what="requests", most=1)], models=["m"], default=Step(tokens=4))
    async with served(script) as world, httpx.AsyncClient(base_url=world.origin) as client:
        await world.ask()
        await world.ask()

        async def get(path: str) -> Any:
            return (await client.get(path)).json()

        meter = await get("/__vendor/meter")
        assert meter["total"] == meter["by_key"]["k"] == meter["by_model"]["m"]
        assert (meter["total"]["input_tokens"], meter["total"]["output_tokens"]) == (3, 4)
        history = await get("/__vendor/history?last=1")
        assert [each["step"] for each in history] == ["limit: requests"]
        limits = await get("/__vendor/limits")
        assert (limits["violated"], limits["peaks"][0]["peak"]) == (1, 1)
        assert msgspec.convert(await get("/__vendor/script"), Script) == script
        assert [each["id"] for each in (await get("/v1/models"))["data"]] == ["m"]
        toml = {"content-type": "application/toml"}
        played = await client.post("/__vendor/script", content=b"[default]\nerror = 'auth'", headers=toml)
        assert played.status_code == 200
        assert (await world.ask()).status == 401
        assert (await client.post("/__vendor/script", json={"steps": []})).status_code == 200
        assert (await world.ask()).status == 200
        assert (await client.post("/__vendor/reset")).status_code == 200
        assert await get("/__vendor/history") == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "script", 400),
        ("GET", "history?last=all", 400),
        ("GET", "nothing", 404),
        ("DELETE", "meter", 405),
    ],
)
async def test_wrong_questions_to_the_books_are_answered_as_such(method: str, path: str, status: int) -> None:
    async with served() as world, httpx.AsyncClient(base_url=world.origin) as client:
        answer = await client.request(method, f"/__vendor/{path}")
        assert answer.status_code == status
        assert answer.json()["error"]["message"]

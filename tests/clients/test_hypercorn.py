"""The gateway under an ASGI server that is not ours, and a vendor that speaks HTTP/2 by a server that is not ours."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import hypercorn.trio
import pytest
import trio
import trustme
from hypercorn.config import Config as HypercornConfig
from llm_dispatcher.runtime import Application, Dispatcher, DispatchError, Message, Request, TextDelta
from llm_dispatcher.runtime.wire.client import TrioTransport
from llm_dispatcher.runtime.wire.http2 import Http2Transport

AUTHORITY = trustme.CA()
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
BODY = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant",'
    b'"content":"well"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}'
)
CHUNK = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
    b'{"content":"word "},"finish_reason":null}]}\n\n'
)
END = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},'
    b'"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


class Vendor:
    """An ASGI application that answers chats; streams of the model `endless` never end. `left` is set when one was left."""

    def __init__(self) -> None:
        self.left = trio.Event()
        self.versions: set[str] = set()

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.versions.add(scope["http_version"])
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        streamed = b'"stream":true' in body
        kind = b"text/event-stream" if streamed else b"application/json"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        if not streamed:
            await send({"type": "http.response.body", "body": BODY})
            return
        for _ in range(3):
            await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
        if b"endless" in body:
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left.set()
            return
        await send({"type": "http.response.body", "body": END})


@asynccontextmanager
async def hypercorn_serving(app: Any, **settings: Any) -> AsyncIterator[str]:
    """Where Hypercorn serves `app`: host and port."""
    config = HypercornConfig()
    config.bind = ["127.0.0.1:0"]
    config.graceful_timeout = 0.5
    config.errorlog = None
    for name, value in settings.items():
        setattr(config, name, value)
    stop = trio.Event()
    async with trio.open_nursery() as nursery:

        async def serve(task_status: Any) -> None:
            await hypercorn.trio.serve(app, config, shutdown_trigger=stop.wait, task_status=task_status)

        (bound, *_) = await nursery.start(serve)
        yield bound.partition("://")[2]
        stop.set()


def configuration(address: str) -> dict[str, Any]:
    vendor = {
        "name": "v",
        "base_url": f"{address}/v1",
        "api_key": "k",
        "models": [{"name": "m"}, {"name": "endless"}],
    }
    return {"vendors": [vendor]}


@asynccontextmanager
async def gateway_under_hypercorn(vendor: Vendor) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        hypercorn_serving(vendor) as upstream,
        hypercorn_serving(Application(configuration(f"http://{upstream}"))) as address,
        httpx.AsyncClient(base_url=f"http://{address}/v1", timeout=5) as client,
    ):
        yield client


@pytest.mark.slow
async def test_the_gateway_serves_under_hypercorn_plain_and_streamed() -> None:
    async with gateway_under_hypercorn(Vendor()) as client:
        plain = await client.post("/chat/completions", json=CHAT)
        assert plain.json()["choices"][0]["message"]["content"] == "well"
        assert plain.headers["x-dispatch-vendor"] == "v"
        streamed = await client.post("/chat/completions", json={**CHAT, "stream": True})
        assert streamed.text.count('"content":"word "') == 3
        assert streamed.text.rstrip().endswith("data: [DONE]")
        assert (await client.get("/models")).status_code == 200
        assert (await client.post("/chat/completions", content=b"{")).status_code == 400


@pytest.mark.slow
async def test_under_hypercorn_a_client_that_leaves_ends_the_exchange_with_the_vendor() -> None:
    vendor = Vendor()
    async with gateway_under_hypercorn(vendor) as client, TrioTransport() as transport:
        body = {**CHAT, "model": "endless", "stream": True}
        answer = await transport.handle_async_request(
            client.build_request("POST", "/chat/completions", json=body)
        )
        assert isinstance(answer.stream, AsyncIterable)
        assert b"word" in await anext(aiter(answer.stream))
        await answer.aclose()
        with trio.fail_after(1):
            await vendor.left.wait()


async def test_a_server_is_told_why_the_dispatcher_does_not_start() -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    with pytest.raises(Exception, match="no-such-file"):
        await Application("no-such-file.toml")({"type": "lifespan"}, receive, send)
    assert sent[0]["type"] == "lifespan.startup.failed"
    assert "no-such-file" in sent[0]["message"]


async def test_without_lifespan_the_application_says_what_is_missing() -> None:
    with pytest.raises(RuntimeError, match="lifespan"):
        await Application()({"type": "http"}, None, None)  # type: ignore[arg-type]


@pytest.mark.slow
async def test_a_vendor_is_spoken_to_in_http_2_with_what_holds_for_any_other(tmp_path: Path) -> None:
    """Plain, streamed, and left: the vendor is told at once, and everything is settled."""
    AUTHORITY.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "pem"))
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    vendor, tls = Vendor(), {"certfile": str(tmp_path / "pem"), "keyfile": str(tmp_path / "pem")}
    async with hypercorn_serving(vendor, alpn_protocols=["h2"], **tls) as address:
        port = address.rpartition(":")[2]
        transport = Http2Transport(ssl_context=context)
        house = Dispatcher.open(configuration(f"https://localhost:{port}"), transports={"v": transport})
        async with house as dispatcher:
            request = Request(model="m", messages=[Message("user", "hello")])

            async def send() -> None:
                assert (await dispatcher.send(request)).text == "well"

            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(send)
            async with dispatcher.stream(request) as events:
                words = [event.text async for event in events if isinstance(event, TextDelta)]
            assert "".join(words) == "word word word "
            endless = Request(model="endless", messages=[Message("user", "hello")])
            async with dispatcher.stream(endless) as events:
                await anext(aiter(events))
            with trio.fail_after(1):
                await vendor.left.wait()
            statistics = transport.statistics()
            assert (statistics.opened, statistics.dialling, statistics.waiting) == (1, 0, 0)
            assert not any(origin.busy for origin in statistics.origins.values())
            standing = (await dispatcher.standing())["v"].deployments["v/endless"]
            assert standing.in_flight == 0
    assert vendor.versions == {"2"}


async def test_a_vendor_that_refuses_connections_over_http_2_is_a_fault_like_any_other() -> None:
    with trio.socket.socket() as sock:
        await sock.bind(("127.0.0.1", 0))
        address = f"https://127.0.0.1:{sock.getsockname()[1]}"
        async with Dispatcher.open(configuration(address), transports={"v": Http2Transport()}) as dispatcher:
            with pytest.raises(DispatchError) as refused:
                await dispatcher.send(Request(model="m", messages=[Message("user", "hello")]))
    assert {attempt.fault for attempt in refused.value.attempts} == {"connect"}

"""A request that has been answered leaves nothing behind: its memory comes back at once, and not when the collector looks.

Bodies are megabytes at times, and every look of the garbage collector holds up all requests.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
from llm_dispatcher.runtime import Dispatcher
from llm_dispatcher.runtime.gateway.app import Gateway
from llm_dispatcher.runtime.wire.client import TrioTransport
from llm_dispatcher.runtime.wire.server import Server

from tests.fakes.scripted import answer, stream


async def vendor(_scope: Any, receive: Any, send: Any) -> None:
    """Answers every request, streamed if it asks for that."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    script = stream("a", "b") if b'"stream":true' in body else answer("ok")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for each in script.pieces:
        await send({"type": "http.response.body", "body": each, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        await nursery.start(Server(app).serve, listeners)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/v1"
        nursery.cancel_scope.cancel()


async def ask(client: TrioTransport, url: str, streamed: bool) -> None:
    chat = {"model": "m", "stream": streamed, "messages": [{"role": "user", "content": "hello"}]}
    request = httpx.Request("POST", f"{url}/chat/completions", json=chat)
    response = await client.handle_async_request(request)
    assert response.status_code == 200
    assert await response.aread()


@pytest.mark.slow
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_an_answered_request_leaves_nothing_for_the_garbage_collector(streamed: bool) -> None:
    client = TrioTransport()
    async with served(vendor) as base:
        settings = {"vendors": [{"name": "v", "base_url": base, "api_key": "k", "models": [{"name": "m"}]}]}
        async with Dispatcher.open(settings) as dispatcher, served(Gateway(dispatcher)) as url:
            await ask(client, url, streamed)
            gc.collect()
            gc.disable()
            gc.set_debug(gc.DEBUG_SAVEALL)
            try:
                for _ in range(5):
                    await ask(client, url, streamed)
                gc.collect()
                left = Counter(type(each).__qualname__ for each in gc.garbage)
            finally:
                gc.set_debug(0)
                gc.garbage.clear()
                gc.enable()
    await client.aclose()
    assert sum(left.values()) < 5, left

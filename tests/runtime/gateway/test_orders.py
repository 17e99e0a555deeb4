"""`POST /v1/orders`: who may give them, what is answered, and that they get through in an overload."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from llm_dispatcher.actors.machines.overload import Overload
from llm_dispatcher.runtime import Dispatcher
from llm_dispatcher.runtime.gateway.admission import Admission
from llm_dispatcher.runtime.gateway.app import Gateway
from trio.testing import MockClock

from tests.fakes.scripted import ScriptedTransport, answer, config

ISOLATE = {"target": "a/m", "order": "isolate"}


@asynccontextmanager
async def client(
    peer: str = "127.0.0.1", overload: Overload | None = None, **server: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client at the address `peer`, before a gateway."""
    transports = {"a": ScriptedTransport(answer())}
    async with Dispatcher.open(config("a", server=server), transports=transports) as dispatcher:
        gateway = Gateway(dispatcher, Admission(overload))
        transport = httpx.ASGITransport(gateway, client=(peer, 5555))
        async with httpx.AsyncClient(transport=transport, base_url="http://house") as made:
            yield made


async def test_an_order_is_answered_with_how_the_vendor_stands(autojump_clock: MockClock) -> None:
    async with client() as here:
        answered = await here.post("/v1/orders", json=ISOLATE)
        assert answered.status_code == 200
        assert answered.json()["deployments"]["a/m"]["circuit"] == "isolated"
        told = (await here.get("/v1/stats")).json()
    assert told["vendors"]["a"]["deployments"]["a/m"]["circuit"] == "isolated"
    assert told["network"]["down"] is False
    assert told["budgets"]["retries"] == 60
    assert told["waiting"] == {}


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        (b'{"target": "x", "order": "isolate"}', 404, "unknown_target", "a, a/m"),
        (b'{"target": "a", "order": "burn"}', 400, "unknown_order", "isolate, force_closed, automatic, lift"),
        (b'{"target": "a"}', 400, "invalid_request", "order"),
        (b'{"target": "a", "order": "lift", "for": "1h"}', 400, "invalid_request", "for"),
        (b"isolate a", 400, "invalid_request", "JSON"),
        (b"\xff", 400, "invalid_request", "JSON"),
    ],
)
async def test_an_order_that_cannot_be_carried_out_says_what_can(
    autojump_clock: MockClock, body: bytes, status: int, code: str, words: str
) -> None:
    async with client() as here:
        answered = await here.post("/v1/orders", content=body)
    assert answered.status_code == status
    assert answered.json()["error"]["code"] == code
    assert words in answered.json()["error"]["message"]


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"])
async def test_this_machine_may_give_orders(autojump_clock: MockClock, peer: str) -> None:
    async with client(peer) as here:
        assert (await here.post("/v1/orders", json=ISOLATE)).status_code == 200


@pytest.mark.parametrize(
    "peer", ["10.0.0.5", "192.168.1.2", "2001:db8::1", "::ffff:10.0.0.5", "", "somewhere"]
)
async def test_others_may_not_unless_the_configuration_says_so(autojump_clock: MockClock, peer: str) -> None:
    async with client(peer) as there:
        refused = await there.post("/v1/orders", json=ISOLATE)
        assert refused.status_code == 403
        assert "server.orders" in refused.json()["error"]["message"]
        told = (await there.get("/v1/stats")).json()
        assert told["vendors"]["a"]["deployments"]["a/m"]["circuit"] == "closed"
    async with client(peer, orders="any") as there:
        assert (await there.post("/v1/orders", json=ISOLATE)).status_code == 200


async def test_a_web_page_may_not_whoever_looks_at_it(autojump_clock: MockClock) -> None:
    for allowed in ("loopback", "any"):
        async with client(orders=allowed) as here:
            page = {"origin": "http://evil.example", "content-type": "text/plain"}
            assert (await here.post("/v1/orders", json=ISOLATE, headers=page)).status_code == 403


async def test_an_order_gets_through_in_an_overload(autojump_clock: MockClock) -> None:
    overload = Overload()
    overload.observe({"memory": 2.0}, 0.0)
    async with client(overload=overload) as here:
        assert (await here.post("/v1/orders", json=ISOLATE)).status_code == 200
        assert (await here.post("/v1/chat/completions", json={})).status_code == 503


@pytest.mark.parametrize(
    ("client", "server", "status"),
    [(None, ("/run/s", None), 200), (None, ("10.0.0.1", 4000), 403), (None, None, 403)],
)
async def test_whoever_may_connect_to_the_unix_socket_is_this_machine(
    autojump_clock: MockClock, client: None, server: tuple[str, int | None] | None, status: int
) -> None:
    async with Dispatcher.open(config("a"), transports={"a": ScriptedTransport(answer())}) as dispatcher:
        gateway = Gateway(dispatcher)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await gateway({**scope, "client": client, "server": server}, receive, send)

        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://house") as here:
            assert (await here.post("/v1/orders", json=ISOLATE)).status_code == status

"""The front door under overload: who is refused, how, and that it costs nothing."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import trio
from llm_dispatcher.actors.machines.overload import CRITICALITIES, Overload
from llm_dispatcher.runtime import Dispatcher, Request
from llm_dispatcher.runtime.gateway.admission import Admission
from llm_dispatcher.runtime.gateway.app import Gateway
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.fakes.scripted import ScriptedTransport, answer, config

BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]}).encode()


class Call:
    """One ASGI call, and what came of it."""

    def __init__(self) -> None:
        self.received = 0
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""

    async def make(self, gateway: Gateway, path: str, method: str = "POST", **headers: str) -> Call:
        """`headers` with underscores for hyphens."""

        async def receive() -> dict[str, Any]:
            self.received += 1
            if self.received > 1:
                await trio.sleep_forever()
            return {"type": "http.request", "body": BODY if method == "POST" else b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self.status, self.headers = message["status"], dict(message["headers"])
            else:
                self.body += message["body"]

        given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": given,
            "extensions": {"llm_dispatcher.cancel_on_disconnect": {}},
        }
        await gateway(scope, receive, send)
        return self

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["error"]
        return found


CHAT = "/v1/chat/completions"


@pytest.mark.parametrize("pressure", [0.5, 0.86, 0.92, 0.97])
async def test_the_lower_classes_are_refused_first_and_without_reading_a_byte(
    autojump_clock: MockClock, pressure: float
) -> None:
    overload = Overload()
    overload.observe({"memory": pressure}, 0.0)
    transport = ScriptedTransport(answer())
    async with Dispatcher.open(config("a"), transports={"a": transport}) as dispatcher:
        gateway = Gateway(dispatcher, Admission(overload, rng=random.Random(1)))
        served = []
        for criticality in CRITICALITIES:
            call = await Call().make(gateway, CHAT, x_dispatch_criticality=criticality)
            if call.status == 200:
                served.append(criticality)
                continue
            assert call.status == 503
            assert call.received == 0
            assert call.error["code"] == "overloaded"
            assert "memory" in call.error["message"]
            assert 2 <= int(call.headers[b"retry-after"]) <= 8
        assert served == [each for each in CRITICALITIES if overload.admits(each)]
        assert len(transport.sent) == len(served)
        stats = await Call().make(gateway, "/v1/stats", "GET")
        told = json.loads(stats.body)["admission"]
        assert told["stage"] == overload.stage
        assert told["pressures"] == {"memory": pressure}
        assert told["shed"] == {each: int(each not in served) for each in CRITICALITIES}


async def test_those_who_are_refused_are_not_told_to_come_back_together(autojump_clock: MockClock) -> None:
    overload = Overload()
    overload.observe({"memory": 2.0}, 0.0)
    async with Dispatcher.open(config("a"), transports={"a": ScriptedTransport(answer())}) as dispatcher:
        gateway = Gateway(dispatcher, Admission(overload, rng=random.Random(1)))
        calls = [await Call().make(gateway, CHAT) for _ in range(40)]
    assert {int(call.headers[b"retry-after"]) for call in calls} == {3, 4, 5, 6, 7, 8}


async def test_the_house_can_be_looked_at_while_it_is_overloaded(autojump_clock: MockClock) -> None:
    overload = Overload()
    overload.observe({"memory": 2.0}, 0.0)
    async with Dispatcher.open(config("a"), transports={"a": ScriptedTransport(answer())}) as dispatcher:
        gateway = Gateway(dispatcher, Admission(overload))
        await wait_all_tasks_blocked()
        for path in ("/health", "/ready", "/v1/stats", "/v1/models"):
            assert (await Call().make(gateway, path, "GET")).status == 200
        assert (await Call().make(gateway, CHAT)).status == 503


async def test_a_request_that_does_not_say_is_of_the_configured_class(autojump_clock: MockClock) -> None:
    overload = Overload()
    overload.observe({"memory": 0.86}, 0.0)
    settings = config("a", server={"default_criticality": "sheddable"})
    async with Dispatcher.open(settings, transports={"a": ScriptedTransport(answer())}) as dispatcher:
        default = dispatcher.config.server.default_criticality
        gateway = Gateway(dispatcher, Admission(overload, default=default))
        assert (await Call().make(gateway, CHAT)).status == 503
        assert (await Call().make(gateway, CHAT, x_dispatch_criticality="critical")).status == 200


async def test_a_class_that_does_not_exist_is_refused_with_those_that_do(autojump_clock: MockClock) -> None:
    async with Dispatcher.open(config("a"), transports={"a": ScriptedTransport(answer())}) as dispatcher:
        call = await Call().make(Gateway(dispatcher), CHAT, x_dispatch_criticality="vital")
    assert call.status == 400
    assert call.error["param"] == "x-dispatch-criticality"
    assert "critical_plus" in call.error["message"]


async def test_the_class_travels_with_the_request(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Request] = []
    async with Dispatcher.open(config("a"), transports={"a": ScriptedTransport(answer())}) as dispatcher:
        send = dispatcher.send

        async def noting(request: Request, **more: Any) -> Any:
            seen.append(request)
            return await send(request, **more)

        monkeypatch.setattr(dispatcher, "send", noting)
        gateway = Gateway(dispatcher)
        await Call().make(gateway, CHAT)
        await Call().make(gateway, CHAT, x_dispatch_criticality="Sheddable", x_dispatch_timeout="5s")
    assert [request.criticality for request in seen] == ["critical", "sheddable"]
    assert seen[1].timeout == 5

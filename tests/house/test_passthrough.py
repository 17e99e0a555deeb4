"""Requests of a vendor's own interface, passed on through the whole house; virtual time, scripted vendors."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
import trio.testing
from llm_dispatcher.runtime import Dispatcher
from llm_dispatcher.runtime.gateway.app import EXTENSION, Gateway

from tests.fakes.scripted import (
    Script,
    ScriptedTransport,
    _Body,
    answer,
    config,
    hang,
    piece,
    refuse,
    status,
    stream,
)

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


class Vendor(ScriptedTransport):
    """A scripted vendor that keeps whole requests, of any method and body."""

    def __init__(self, *scripts: Script | Callable[[], Script]) -> None:
        super().__init__(*scripts)
        self.asked: list[tuple[httpx.Request, bytes]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((request, await request.aread()))
        step = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        script = step() if callable(step) else step
        await trio.sleep(script.after)
        if script.error is not None:
            raise script.error
        self.open += 1
        return httpx.Response(script.status, headers=script.headers, stream=_Body(script, self))


def passing(keys: int = 1, **more: Any) -> dict[str, Any]:
    """The configuration of a vendor `v` that is passed on."""
    settings = config("v", retry={"attempts": 3, "floor": 100.0}, server={"max_body": 5000}, **more)
    vendor = settings["vendors"][0]
    vendor |= {"passthrough": True, "api_key": None, "api_keys": [f"theirs-{n}" for n in range(keys)]}
    return settings


@asynccontextmanager
async def house(
    *scripts: Any, keys: int = 1, **vendor: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, Vendor, Dispatcher]]:
    settings = passing(keys)
    settings["vendors"][0] |= vendor
    scripted = Vendor(*scripts)
    async with Dispatcher.open(settings, transports={"v": scripted}) as dispatcher:
        transport = httpx.ASGITransport(Gateway(dispatcher))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            yield client, scripted, dispatcher


async def ask(
    dispatcher: Dispatcher, raw: bytes, *, method: str = "GET", headers: Any = ()
) -> tuple[int, bytes]:
    """What is answered to a request target as it came over the wire."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    path, _, query = raw.partition(b"?")
    decoded = httpx.URL("http://x/").copy_with(raw_path=b"/").path if b"\xff" in path else path.decode()
    scope = {
        "type": "http", "method": method, "path": decoded, "raw_path": path, "query_string": query,
        "headers": [*headers], "extensions": {EXTENSION: {}},
    }  # fmt: skip
    await Gateway(dispatcher)(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


async def spent(dispatcher: Dispatcher) -> Any:
    await trio.testing.wait_all_tasks_blocked()
    return dispatcher.statistics().vendors["v"]


# --- what goes and what comes -------------------------------------------------------------------


async def test_a_request_goes_as_it_came_with_the_vendors_key_in_place_of_the_clients(
    autojump_clock: Any,
) -> None:
    listed = Script(status=201, headers={"content-type": "text/x", "x-own": "1", "set-cookie": "a=b", "x-request-id": "up"}, pieces=[b"a", b"bc"])  # fmt: skip
    async with house(listed) as (client, vendor, _):
        found = await client.post(
            "/v/files/a%2Fb?x=1&key=secret&x=%20",
            content=b"\x00body",
            headers={
                "authorization": "Bearer secret", "x-api-key": "secret", "cookie": "secret", "x-forwarded-for": "1.2.3.4",
                "x-dispatch-timeout": "5", "connection": "x-hop", "x-hop": "1", "openai-beta": "assistants=v2", "content-type": "a/b",
            },
        )  # fmt: skip
    assert (found.status_code, found.content) == (201, b"abc")
    assert (found.headers["content-type"], found.headers["x-own"]) == ("text/x", "1")
    assert "set-cookie" not in found.headers
    assert found.headers["x-upstream-request-id"] == "up"
    assert found.headers["x-dispatch-vendor"] == "v"
    [(request, body)] = vendor.asked
    assert (request.method, str(request.url)) == ("POST", "http://v.example/v1/files/a%2Fb?x=1&x=%20")
    assert body == b"\x00body"
    assert request.headers["authorization"] == "Bearer theirs-0"
    assert "secret" not in str(request.headers.raw)
    assert (request.headers["openai-beta"], request.headers["content-type"]) == ("assistants=v2", "a/b")
    assert not {"x-forwarded-for", "x-dispatch-timeout", "x-hop", "cookie"} & {*request.headers}


async def test_any_method_is_passed_on(autojump_clock: Any) -> None:
    methods = ["GET", "HEAD", "DELETE", "PUT", "PATCH"]
    async with house(Script(status=204)) as (client, vendor, _):
        for method in methods:
            assert (await client.request(method, "/v/things/1")).status_code == 204
    assert [request.method for request, _ in vendor.asked] == methods


@pytest.mark.parametrize("path", ["chat/completions", "v1/chat/completions"])
async def test_a_version_in_the_path_stands_for_the_one_in_the_address(
    autojump_clock: Any, path: str
) -> None:
    async with house(answer("hello")) as (client, vendor, _):
        assert (await client.post(f"/v/{path}", json=CHAT)).json()["id"] == "c1"
    assert str(vendor.asked[0][0].url) == "http://v.example/v1/chat/completions"


ASTRAY = [
    b"/v/../admin", b"/v/a/..", b"/v/a/%2e%2e/b", b"/v/a/%2E./b", b"/v/%252e%252e/b", b"/v/a/..%2fb", b"/v/a%5c..%5cb",
    b"/v/a\\..\\b", b"/v//evil.example/x", b"/v/a//b", b"/v/%2f%2fevil.example", b"/v/a/..;x/b", b"/v/a/./b", b"/v/%00",
    b"/v/a%0d%0ax", b"/v/%25252525252e", b"/v/a%zz", b"/v/a#b", b"/v/a?x=%zz", b'/v/"',
]  # fmt: skip


async def test_no_path_leads_out_of_the_vendors_interface(autojump_clock: Any) -> None:
    async with house(answer()) as (_, vendor, dispatcher):
        for path in ASTRAY:
            code, body = await ask(dispatcher, path)
            assert (code, json.loads(body)["error"]["code"]) == (400, "invalid_path"), path
        assert vendor.asked == []


async def test_a_host_in_the_path_stays_a_part_of_the_path(autojump_clock: Any) -> None:
    async with house(Script()) as (_, vendor, dispatcher):
        for path in (b"/v/http:/evil.example/x", b"/v/@evil.example/", b"/v/evil.example:80/x?y=//z"):
            assert (await ask(dispatcher, path))[0] == 200
        assert {request.url.host for request, _ in vendor.asked} == {"v.example"}


async def test_what_web_pages_ask_for_is_not_passed_on(autojump_clock: Any) -> None:
    allow = Script(headers={"access-control-allow-origin": "*"})
    async with house(allow) as (client, vendor, _):
        page = {"origin": "https://evil.example"}
        assert (await client.get("/v/files", headers=page)).status_code == 403
        assert (await client.options("/v/files")).status_code == 405
        assert vendor.asked == []
        assert "access-control-allow-origin" not in (await client.get("/v/files")).headers


async def test_nothing_is_passed_on_unless_it_is_wanted(autojump_clock: Any) -> None:
    async with house(answer(), passthrough=False) as (client, vendor, _):
        assert (await client.get("/v/files")).status_code == 404
        assert vendor.asked == []
    async with house(answer(), passthrough="direct") as (client, vendor, _):
        assert (await client.get("/v/files")).status_code == 404
        assert (await client.get("/direct/files")).status_code == 200


async def test_the_whole_of_an_interface_is_no_model(autojump_clock: Any) -> None:
    async with house(answer()) as (client, _, _d):
        assert "v/*" not in (await client.get("/v1/models")).text
        for named in ("v/*", "*"):
            refused = await client.post("/v1/chat/completions", json={**CHAT, "model": named})
            assert refused.status_code in (400, 404)
        assert (await client.post("/v1/chat/completions", json={**CHAT, "model": "auto"})).status_code == 200


async def test_no_rule_sends_what_is_meant_for_one_vendor_to_another(autojump_clock: Any) -> None:
    settings = config("v", "w", rules=[{"models": ["*"], "route": "w/m"}])
    settings["vendors"][0]["passthrough"] = True
    mine, other = Vendor(Script(pieces=[b"mine"])), Vendor(answer("other"))
    async with Dispatcher.open(settings, transports={"v": mine, "w": other}) as dispatcher:
        transport = httpx.ASGITransport(Gateway(dispatcher))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            assert (await client.get("/v/files")).content == b"mine"
            assert (await client.post("/v/chat/completions", json=CHAT)).content == b"mine"
            assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
    assert (len(mine.asked), len(other.asked)) == (2, 1)


async def test_a_body_that_is_too_large_is_refused(autojump_clock: Any) -> None:
    async with house(answer()) as (_, vendor, dispatcher):
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"x" * 3000, "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "PUT", "path": "/v/a", "raw_path": b"/v/a", "headers": [], "extensions": {EXTENSION: {}},
        }  # fmt: skip
        await Gateway(dispatcher)(scope, receive, send)
        assert sent[0]["status"] == 413
        assert vendor.asked == []


# --- refusals and retries -----------------------------------------------------------------------


async def test_what_the_vendor_refuses_is_told_in_its_own_words(autojump_clock: Any) -> None:
    async with house(status(422, "your own fault", headers={"x-own": "1"})) as (client, vendor, _):
        refused = await client.post("/v/fine_tuning/jobs", json={})
    assert (refused.status_code, refused.json()["error"]["message"]) == (422, "your own fault")
    assert (refused.headers["x-own"], refused.headers["x-dispatch-attempts"]) == ("1", "1")
    assert len(vendor.asked) == 1


@pytest.mark.parametrize("code", [401, 403, 404, 409])
async def test_who_asks_for_what_is_not_there_closes_the_vendor_for_nobody(
    autojump_clock: Any, code: int
) -> None:
    scripts = [*[status(code, "you may not") for _ in range(10)], answer("still here")]
    async with house(*scripts) as (client, vendor, _):
        for _ in range(10):
            assert (await client.get("/v/organization/admin_api_keys")).status_code == code
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
    assert len(vendor.asked) == 11


async def test_whatever_a_client_says_the_key_stays_in_use(autojump_clock: Any) -> None:
    async with house(status(401, "no such organization"), answer("hello")) as (client, vendor, _):
        headers = {"openai-organization": "another", "openai-beta": "x"}
        assert (await client.post("/v/chat/completions", json=CHAT, headers=headers)).status_code == 401
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
    assert "openai-organization" not in vendor.asked[0][0].headers
    assert len(vendor.asked) == 2


@pytest.mark.parametrize(
    ("method", "path", "first", "asked"),
    [
        ("GET", "files", status(500), 2),
        ("PUT", "files/1", status(500), 2),
        ("POST", "files", status(500), 1),
        ("PATCH", "files/1", status(502), 1),
        ("POST", "files", refuse(), 2),
        ("POST", "files", status(429, "slow down"), 2),
        ("POST", "files", Script(error=httpx.ReadError("reset")), 1),
        ("POST", "chat/completions", status(500), 2),
    ],
)
async def test_only_what_does_no_harm_is_sent_again(
    autojump_clock: Any, method: str, path: str, first: Script, asked: int
) -> None:
    async with house(first, answer("hello"), keys=2) as (client, vendor, _):
        found = await client.request(method, f"/v/{path}", json=CHAT)
    assert len(vendor.asked) == asked
    assert (found.status_code == 200) is (asked == 2)
    if asked == 1 and first.error is None:
        assert found.status_code == first.status


async def test_what_could_not_be_sent_at_all_is_an_error_of_ours(autojump_clock: Any) -> None:
    async with house(refuse()) as (client, _, _d):
        failed = await client.get("/v/files")
    assert failed.status_code == 502
    assert failed.json()["error"]["x_dispatch"]["class"] == "connect"


async def test_a_breaker_keeps_requests_from_a_vendor_that_is_down(autojump_clock: Any) -> None:
    async with house(status(500, "down")) as (client, vendor, _):
        for _ in range(8):
            await client.get("/v/files")
        before = len(vendor.asked)
        assert (await client.get("/v/files", headers={"x-dispatch-timeout": "1"})).status_code in (500, 503)
    assert before < 16


async def test_the_vendors_limit_is_kept(autojump_clock: Any) -> None:
    async with house(Script(pieces=[b"x"]), limits={"requests_per_minute": 60, "burst": 0.0}) as (
        client,
        vendor,
        _,
    ):
        began = trio.current_time()
        for _ in range(4):
            assert (await client.get("/v/files")).status_code == 200
        assert trio.current_time() - began >= 3
    assert len(vendor.asked) == 4


# --- time and streams ---------------------------------------------------------------------------


async def test_a_stream_goes_on_as_it_comes_and_its_usage_is_counted(autojump_clock: Any) -> None:
    said = stream("a", "b", gap=1.0)
    async with house(said) as (client, _, dispatcher):
        found = await client.post("/v/chat/completions", json={**CHAT, "stream": True})
        assert found.content == b"".join(said.pieces)
        told = await spent(dispatcher)
    assert (told.input_tokens, told.output_tokens) == (10, 2)
    assert float(told.cost) == pytest.approx(14e-6)


async def test_a_whole_answer_is_counted_and_priced_where_the_model_is_known(autojump_clock: Any) -> None:
    async with house(answer(usage=(100, 50))) as (client, _, dispatcher):
        found = await client.post("/v/chat/completions", json=CHAT)
        assert found.json()["usage"]["prompt_tokens"] == 100
        told = await spent(dispatcher)
    assert (told.input_tokens, told.output_tokens) == (100, 50)
    assert float(told.cost) == pytest.approx(200e-6)


@pytest.mark.parametrize(
    ("path", "body"),
    [("chat/completions", {**CHAT, "model": "another"}), ("files", {}), ("chat/completions", {})],
)
async def test_what_nobody_can_price_is_never_free(autojump_clock: Any, path: str, body: Any) -> None:
    async with house(Script(pieces=[b"{}"])) as (client, _, dispatcher):
        assert (await client.post(f"/v/{path}", json=body)).status_code == 200
        told = await spent(dispatcher)
    assert (told.attempts, told.unpriced, told.cost) == (1, 1, 0)


async def test_a_long_answer_that_is_no_stream_has_the_whole_time(autojump_clock: Any) -> None:
    async with house(Script(after=200, pieces=[b"done"])) as (client, _, _d):
        assert (await client.get("/v/batches/1")).content == b"done"
        late = await client.get("/v/batches/1", headers={"x-dispatch-timeout": "100"})
    assert late.status_code == 504


async def test_a_stream_that_is_silent_is_tried_elsewhere_before_anything_came(autojump_clock: Any) -> None:
    async with house(hang(), stream("a"), keys=2) as (client, vendor, _):
        found = await client.post("/v/chat/completions", json={**CHAT, "stream": True})
    assert found.status_code == 200
    assert len(vendor.asked) == 2


@pytest.mark.parametrize("broken", [Script(pieces=[b"part"], cut=True), Script(pieces=[b"part"], hang=True)])
async def test_what_breaks_off_in_the_middle_has_no_end(autojump_clock: Any, broken: Script) -> None:
    settings = passing()
    vendor = Vendor(broken)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": "/v/a", "raw_path": b"/v/a", "headers": [], "extensions": {EXTENSION: {}},
    }  # fmt: skip
    async with Dispatcher.open(settings, transports={"v": vendor}) as dispatcher:
        await Gateway(dispatcher)(scope, receive, send)
    assert [message.get("body") for message in sent[1:]] == [b"part"]
    assert sent[-1]["more_body"]
    assert vendor.open == 0


async def test_an_answer_may_be_longer_than_any_that_is_kept(autojump_clock: Any) -> None:
    megabyte = b"x" * 2**20
    async with house(Script(pieces=[megabyte] * 70)) as (client, _, _d):
        found = await client.get("/v/files/1/content")
        assert len(found.content) == 70 * 2**20


async def test_a_client_that_leaves_ends_the_exchange_with_the_vendor(autojump_clock: Any) -> None:
    settings = passing()
    vendor = Vendor(Script(pieces=[piece("a")], hang=True))
    async with Dispatcher.open(settings, transports={"v": vendor}) as dispatcher:
        began = trio.Event()

        async def receive() -> dict[str, Any]:
            return {
                "type": "http.request",
                "body": json.dumps({**CHAT, "stream": True}).encode(),
                "more_body": False,
            }

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body":
                began.set()

        scope = {
            "type": "http", "method": "POST", "path": "/v/chat/completions", "raw_path": b"/v/chat/completions", "headers": [],
            "extensions": {EXTENSION: {}},
        }  # fmt: skip
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Gateway(dispatcher).__call__, scope, receive, send)
            await began.wait()
            assert vendor.open == 1
            nursery.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert vendor.open == 0
        told = dispatcher.statistics().vendors["v"]
        assert told.errors == {"client_gone": 1}
        standing = await dispatcher.standing()
        assert all(each.in_flight == 0 for each in standing["v"].deployments.values())

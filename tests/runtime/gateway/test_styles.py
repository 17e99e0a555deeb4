"""Errors in each interface's own envelope, over ASGI without a server."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import structlog
import trio
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime import Dispatcher
from llm_dispatcher.runtime.config.vendor_checks import RESERVED
from llm_dispatcher.runtime.errors import NoVendor, Overloaded, Unauthorized
from llm_dispatcher.runtime.gateway.app import EXTENSION, Gateway
from llm_dispatcher.runtime.gateway.failures import failure_of
from llm_dispatcher.runtime.gateway.routes import BELOW, ENDPOINTS
from llm_dispatcher.runtime.gateway.styles import ANTHROPIC, GOOGLE, OPENAI
from llm_dispatcher.runtime.wire.server import Server, ServerLimits
from trio.testing import MockClock, memory_stream_pair

from tests.fakes.scripted import ScriptedTransport, answer, config, status
from tests.wire.test_server import read_all

MESSAGE = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def test_the_same_failure_in_each_interfaces_words() -> None:
    failure = failure_of(NoVendor("nobody", code="no_vendor_available", retry_after=2.0))
    openai, anthropic = OPENAI.envelope(failure, "r"), ANTHROPIC.envelope(failure, "r")
    assert (openai["error"]["type"], openai["error"]["code"]) == ("api_error", "no_vendor_available")
    assert anthropic["error"]["details"] == {"error_code": "no_vendor_available"}
    assert (anthropic["type"], anthropic["error"]["type"], anthropic["request_id"]) == (
        "error",
        "overloaded_error",
        "r",
    )
    assert openai["error"]["x_dispatch"] == anthropic["error"]["x_dispatch"]
    assert openai["error"]["message"] == anthropic["error"]["message"] == "nobody"
    google = GOOGLE.envelope(failure, "r")["error"]
    assert (google["code"], google["status"], google["message"]) == (503, "UNAVAILABLE", "nobody")
    assert google["x_dispatch"] == openai["error"]["x_dispatch"]
    assert google["details"][-1]["retryDelay"] == "2s"


@pytest.mark.parametrize(
    ("error", "type", "word"),
    [
        (Overloaded("busy", kind=FaultClass.OVERLOADED), "overloaded_error", "UNAVAILABLE"),
        (Unauthorized("our credit is spent", kind=FaultClass.QUOTA_EXHAUSTED), "api_error", "INTERNAL"),
        (Unauthorized("our key", kind=FaultClass.AUTH), "api_error", "UNAVAILABLE"),
    ],
)
def test_what_is_wrong_with_our_account_is_not_said_to_be_wrong_with_the_clients(
    error: Any, type: str, word: str
) -> None:
    assert GOOGLE.envelope(failure_of(error), "r")["error"]["status"] == word
    assert ANTHROPIC.envelope(failure_of(error), "r")["error"]["type"] == type


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    settings = config("v", server={"max_body": 500}, retry={"attempts": 1})
    scripts = ScriptedTransport(answer("hello"), status(400, "no good"), answer("again"))
    async with Dispatcher.open(settings, transports={"v": scripts}) as dispatcher:
        transport = httpx.ASGITransport(Gateway(dispatcher))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            yield client


async def test_a_vendors_refusal_comes_in_the_envelope_of_the_path(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v1/messages", json=MESSAGE)).json()["content"] == [
        {"type": "text", "text": "hello"}
    ]
    refused = await client.post("/v1/messages/", json=MESSAGE, headers={"x-request-id": "mine"})
    body = refused.json()
    assert (refused.status_code, body["error"]["type"], body["request_id"]) == (
        400,
        "invalid_request_error",
        "mine",
    )
    assert body["error"]["x_dispatch"]["blame"] == "caller"
    assert (refused.headers["request-id"], refused.headers["x-request-id"]) == ("mine", "mine")


PATHS = pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])


@PATHS
async def test_a_body_that_is_none_is_refused_by_name(client: httpx.AsyncClient, path: str) -> None:
    none = await client.post(path, content=b'{"model":"m","messages":[{"role":"user","content":5}]}')
    assert (none.status_code, none.json()["error"]["type"]) == (400, "invalid_request_error")
    assert "messages[0].content" in none.json()["error"]["message"]
    betas = await client.post(path, json={**MESSAGE, "betas": "x"}, headers={"anthropic-beta": "y"})
    assert (betas.status_code, "betas" in betas.json()["error"]["message"]) == (400, True)


@PATHS
async def test_a_body_that_is_too_large_is_not_read_to_its_end(path: str) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * 300, "more_body": True}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async with Dispatcher.open(config("v", server={"max_body": 500})) as dispatcher:
        scope = {"type": "http", "method": "POST", "path": path, "headers": [], "extensions": {EXTENSION: {}}}
        await Gateway(dispatcher)(scope, receive, send)
    assert sent[0]["status"] == 413
    assert json.loads(sent[1]["body"])["error"]["type"] == "request_too_large"


async def test_a_chat_client_is_answered_in_its_own_envelope_whatever_it_sends(
    client: httpx.AsyncClient,
) -> None:
    headers = {"anthropic-version": "2023-06-01"}
    refused = await client.post("/v1/chat/completions", content=b"{", headers=headers)
    assert "type" not in refused.json()
    assert "request-id" not in refused.headers


@pytest.mark.parametrize(
    ("headers", "key"),
    [({}, "object"), ({"anthropic-version": "2023-06-01"}, "has_more"), ({"x-goog-api-key": "k"}, "models")],
)
async def test_models_are_listed_in_the_shape_of_the_clients_interface(
    client: httpx.AsyncClient, headers: dict[str, str], key: str
) -> None:
    listed = (await client.get("/v1/models", headers=headers)).json()
    assert key in listed
    assert "v/m" in str(listed)
    assert "v/m" in str((await client.get("/v1/models/v/m", headers=headers)).json())
    missing = await client.get("/v1/models/none", headers=headers)
    assert missing.status_code == 404
    assert "'none'" in missing.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "key"),
    [("/v1beta/models", "models"), ("/v1beta1/models", "models"), ("/openai/models", "object"), ("/openai/v1/models", "object")],
)  # fmt: skip
async def test_some_paths_belong_to_one_interface_whatever_the_client_sends(
    client: httpx.AsyncClient, path: str, key: str
) -> None:
    headers = {"anthropic-version": "2023-06-01"}
    assert key in (await client.get(path, headers=headers)).json()
    assert (await client.get(f"{path}/v/m", headers=headers)).status_code == 200
    assert (await client.post(path, headers=headers)).headers["allow"] == "GET"


GEMINI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


async def test_googles_interface_refuses_in_its_own_envelope(client: httpx.AsyncClient) -> None:
    path = "/v1beta/models/m:generateContent"
    answered = (await client.post(path, json=GEMINI)).json()
    assert answered["candidates"][0]["content"] == {"parts": [{"text": "hello"}], "role": "model"}
    refused = await client.post(path, json=GEMINI)
    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    none = await client.post(path, json={"contents": 5})
    assert "contents" in none.json()["error"]["message"]
    patience = await client.post(path, json=GEMINI, headers={"x-server-timeout": "soon"})
    assert "x-server-timeout" in patience.json()["error"]["message"]


async def test_an_azure_deployment_is_the_models_name_whatever_the_body_says(
    client: httpx.AsyncClient,
) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}], "model": "something else"}
    path = "/openai/deployments/v/m/chat/completions?api-version=2024-10-21"
    answered = await client.post(path, json=body)
    assert answered.json()["choices"][0]["message"]["content"] == "hello"
    del body["model"]
    assert (await client.post(path, json=body)).json()["error"]["x_dispatch"]["vendor"] == "v"
    for missing in (
        "/openai/deployments/m/audio/speech",
        "/openai/deployments/m",
        "/openai/deployments//chat/completions",
    ):
        refused = await client.post(missing, json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not_found")


def test_every_path_of_our_own_is_one_that_no_vendor_may_take() -> None:
    beginnings = {path.split("/")[1] for path in (*ENDPOINTS, *[beginning for beginning, _ in BELOW])}
    assert {each for each in beginnings if not re.fullmatch(r"v[0-9]\w*", each)} <= RESERVED


# --- what the server answers itself ---------------------------------------------------------------


async def refused_by_the_server(*pieces: bytes) -> tuple[int, dict[bytes, bytes], Any]:
    """Status, headers and body of the answer to what is no request that is served; ten seconds later at the latest."""
    async with Dispatcher.open(config("v")) as dispatcher, trio.open_nursery() as nursery:
        gateway = Gateway(dispatcher)
        server = Server(gateway, ServerLimits(body=500), refusal=gateway.refusal)
        ours, theirs = memory_stream_pair()
        nursery.start_soon(server.serve_connection, theirs)
        for piece in pieces:
            await ours.send_all(piece)
        head, _, body = (await read_all(ours)).partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        pairs = [line.partition(b": ") for line in lines]
        nursery.cancel_scope.cancel()
    return int(first.split()[1]), {name: value for name, _, value in pairs}, json.loads(body)


def post(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "host: h", "x-request-id: mine", *lines, "", ""]).encode()


UNSERVED = {
    "announced too large": ("content-length: 501", b"", 413, "request_too_large", "body_too_large"),
    "too large in pieces": (
        "transfer-encoding: chunked", b"1f5\r\n", 413, "request_too_large", "body_too_large",
    ),
    "spoilt in the middle": ("transfer-encoding: chunked", b"zz\r\n", 400, "invalid_request_error", "bad_chunk"),
    "too slow": ("content-length: 10", b"{", 408, "timeout_error", "body_timeout"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNSERVED.values(), ids=UNSERVED)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions?x=y"])
async def test_what_the_server_refuses_comes_in_the_envelope_of_the_path_too(
    autojump_clock: MockClock, path: str, case: tuple[str, bytes, int, str, str]
) -> None:
    """It was OpenAI's everywhere, and an internal error of ours where the body's end was what was wrong."""
    length, body, status, kind, code = case
    with structlog.testing.capture_logs() as lines:
        told, headers, envelope = await refused_by_the_server(post(path, length), body)
    assert told == status
    assert headers[b"x-request-id"] == b"mine"
    assert [line for line in lines if line["log_level"] == "error"] == []
    if path == "/v1/messages":
        assert (envelope["type"], envelope["error"]["type"], envelope["request_id"]) == (
            "error",
            kind,
            "mine",
        )
        assert envelope["error"]["details"] == {"error_code": code}
        assert headers[b"request-id"] == b"mine"
    else:
        assert (envelope["error"]["type"], envelope["error"]["code"]) == ("invalid_request_error", code)
        assert "type" not in envelope


async def test_of_what_cannot_be_read_at_all_the_style_is_guessed_by_the_headers(
    autojump_clock: MockClock,
) -> None:
    spoilt = b"POST /v1/oops HTTP/1.1\r\nanthropic-version: 2023-06-01\r\n\r\n"
    assert (await refused_by_the_server(spoilt))[2]["type"] == "error"
    told, headers, envelope = await refused_by_the_server(b"\x16\x03\x01\r\n\r\n")
    assert (told, "type" in envelope, envelope["error"]["code"]) == (400, False, "bad_request_line")
    assert headers[b"x-request-id"].startswith(b"req_")

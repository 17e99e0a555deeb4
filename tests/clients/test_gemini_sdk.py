"""Google's own SDK, unmodified, against the daemon with simulated vendors."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import httpx
import pydantic
import pytest
from google import genai
from google.genai import errors, types

from .conftest import Daemon

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WEATHER = types.FunctionDeclaration(
    name="weather",
    description="Tells the weather",
    parameters=types.Schema(
        type=types.Type.OBJECT,
        properties={"city": types.Schema(type=types.Type.STRING), "days": types.Schema(type=types.Type.INTEGER)},
        required=["city", "days"],
    ),
)  # fmt: skip
FORCED = types.GenerateContentConfig(
    tools=[types.Tool(function_declarations=[WEATHER])],
    tool_config=types.ToolConfig(
        function_calling_config=types.FunctionCallingConfig(
            mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=["weather"]
        )
    ),
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
)


def address(daemon: Daemon) -> str:
    return daemon.url.removesuffix("/v1")


@pytest.fixture(scope="module")
def client(daemon: Daemon) -> Iterator[genai.Client]:
    # To make one takes a third of a second.
    client = genai.Client(api_key="unused", http_options={"base_url": address(daemon)})
    yield client
    client.close()


def test_a_plain_answer_has_text_and_usage(client: genai.Client) -> None:
    answer = client.models.generate_content(model="talker", contents="Hello there")
    assert answer.text
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason is types.FinishReason.STOP
    assert (answer.model_version, answer.response_id) == ("talker", _headers(answer)["x-request-id"])
    usage = answer.usage_metadata
    assert usage is not None
    sent, came = usage.prompt_token_count or 0, usage.candidates_token_count or 0
    assert (sent > 0, came > 0, usage.total_token_count) == (True, True, sent + came)
    assert _headers(answer)["x-dispatch-vendor"] == "sim"
    assert float(_headers(answer)["x-dispatch-cost"]) == pytest.approx((sent + 2 * came) / 1e6)


def _headers(answer: types.GenerateContentResponse) -> dict[str, str]:
    assert answer.sdk_http_response is not None
    return answer.sdk_http_response.headers or {}


def test_a_streamed_answer_adds_up(client: genai.Client) -> None:
    chunks = [*client.models.generate_content_stream(model="talker", contents="Hello there")]
    assert "".join(chunk.text or "" for chunk in chunks)
    reasons = [
        each.finish_reason for chunk in chunks for each in chunk.candidates or () if each.finish_reason
    ]
    assert reasons == [types.FinishReason.STOP]
    assert chunks[-1].usage_metadata is not None
    assert chunks[-1].usage_metadata.candidates_token_count


def test_settings_are_kept(client: genai.Client) -> None:
    config = types.GenerateContentConfig(
        system_instruction="Be brief.",
        max_output_tokens=3,
        temperature=0.5,
        top_p=0.9,
        seed=5,
        stop_sequences=["END"],
        safety_settings=[
            types.SafetySetting(
                category=types.HarmCategory.HARM_CATEGORY_HARASSMENT,
                threshold=types.HarmBlockThreshold.BLOCK_NONE,
            )
        ],
        response_modalities=["TEXT"],
        candidate_count=1,
    )
    answer = client.models.generate_content(model="talker", contents="Hello", config=config)
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason is types.FinishReason.MAX_TOKENS
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.candidates_token_count == 3


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_is_called_and_its_result_taken(client: genai.Client, streamed: bool) -> None:
    asked = types.Content(role="user", parts=[types.Part(text="The weather?")])
    if streamed:
        chunks = client.models.generate_content_stream(model="talker", contents=[asked], config=FORCED)
        calls = [call for chunk in chunks for call in chunk.function_calls or ()]
    else:
        calls = (
            client.models.generate_content(model="talker", contents=[asked], config=FORCED).function_calls
            or []
        )
    [call] = calls
    assert call.name == "weather"
    assert call.args is not None
    assert (type(call.args["city"]), type(call.args["days"])) == (str, int)
    called = types.Content(role="model", parts=[types.Part(function_call=call)])
    # As the documentation has it: by the function's name, without the call's id.
    result = types.Part.from_function_response(name="weather", response={"result": "sunny, 21 degrees"})
    answered = types.Content(role="user", parts=[result])
    answer = client.models.generate_content(model="talker", contents=[asked, called, answered])
    assert "sunny" in (answer.text or "")


def test_functions_are_called_by_the_sdk_itself(client: genai.Client) -> None:
    asked: list[str] = []

    def weather(city: str) -> str:
        """Tells the weather."""
        asked.append(city)
        return "sunny, 21 degrees"

    config = types.GenerateContentConfig(
        tools=[weather],
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY)
        ),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(maximum_remote_calls=2),
    )
    chat = client.chats.create(model="talker", config=config)
    chat.send_message("The weather?")
    assert asked
    history = chat.get_history()
    kinds = [
        "call" if part.function_call else "result" if part.function_response else "text"
        for content in history
        for part in content.parts or ()
    ]
    assert kinds[:3] == ["text", "call", "result"]


@pytest.mark.parametrize("of", ["class", "schema"])
def test_structured_answers_are_parsed(client: genai.Client, of: str) -> None:
    class Recipe(pydantic.BaseModel):
        name: str
        minutes: int

    schema: Any = (
        {"response_schema": Recipe} if of == "class" else {"response_json_schema": Recipe.model_json_schema()}
    )
    config = types.GenerateContentConfig(response_mime_type="application/json", **schema)
    answer = client.models.generate_content(model="talker", contents="A recipe", config=config)
    assert Recipe.model_validate_json(answer.text or "").name
    assert isinstance(answer.parsed, Recipe if of == "class" else dict)


def test_images_are_taken(client: genai.Client) -> None:
    image = types.Part.from_bytes(data=PIXEL, mime_type="image/png")
    assert client.models.generate_content(model="talker", contents=["What is it?", image]).text


@pytest.mark.parametrize("streamed", [False, True])
def test_a_chat_remembers_its_turns(client: genai.Client, streamed: bool) -> None:
    chat = client.chats.create(model="talker")
    for word in ("Hello", "And again"):
        if streamed:
            assert "".join(chunk.text or "" for chunk in chat.send_message_stream(word))
        else:
            assert chat.send_message(word).text
    roles = [role for role, _ in groupby(content.role for content in chat.get_history(curated=True))]
    assert roles == ["user", "model"] * 2


def test_texts_are_embedded(daemon: Daemon, client: genai.Client) -> None:
    config = types.EmbedContentConfig(output_dimensionality=16)
    found = client.models.embed_content(model="embedder", contents=["one", "two"], config=config)
    assert [len(each.values or ()) for each in found.embeddings or ()] == [16, 16]
    vertex = genai.Client(vertexai=True, api_key="unused", http_options={"base_url": address(daemon)})
    alone = vertex.models.embed_content(model="embedder", contents="one").embeddings
    assert alone is not None
    assert [bool(each.values) for each in alone] == [True]
    vertex.close()
    with pytest.raises(errors.ClientError, match="embed"):
        client.models.embed_content(model="talker", contents="one")


def test_tokens_are_estimated(client: genai.Client) -> None:
    short = client.models.count_tokens(model="talker", contents="Hello there").total_tokens or 0
    long = client.models.count_tokens(model="talker", contents="word " * 1000).total_tokens or 0
    assert 0 < short < 20
    assert 1000 < long < 2500
    with pytest.raises(errors.ClientError, match="no-such"):
        client.models.count_tokens(model="no-such", contents="Hello")


def test_models_are_listed_and_described(client: genai.Client) -> None:
    listed = [model.name for model in client.models.list()]
    assert {"models/talker", "models/sim/talker", "models/fast"} <= set(listed)
    model = client.models.get(model="sim/talker")
    assert (model.name, model.input_token_limit) == ("models/sim/talker", 128_000)
    with pytest.raises(errors.ClientError, match="no-such") as caught:
        client.models.get(model="no-such")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


def test_a_vendor_is_named_before_the_model(client: genai.Client) -> None:
    answer = client.models.generate_content(model="well/shared", contents="Hello")
    assert _headers(answer)["x-dispatch-vendor"] == "well"


def test_the_clients_patience_is_the_requests_deadline(client: genai.Client) -> None:
    config = types.GenerateContentConfig(http_options=types.HttpOptions(headers={"X-Server-Timeout": "0.2"}))
    with pytest.raises(errors.ServerError, match=r"within 0\.2 s") as caught:
        client.models.generate_content(model="drawler", contents="Hello", config=config)
    assert (caught.value.code, caught.value.status) == (504, "DEADLINE_EXCEEDED")


@pytest.mark.parametrize(
    ("wish", "code", "status", "words"),
    [
        ({"model": "no-such"}, 404, "NOT_FOUND", "no-such"),
        ({"contents": [types.Content(role="user", parts=[])]}, 400, "INVALID_ARGUMENT", "contents"),
        pytest.param({"model": "refuser"}, 429, "RESOURCE_EXHAUSTED", "limited", marks=pytest.mark.slow),
        ({"model": "crasher"}, 502, "UNAVAILABLE", "sick"),
        ({"model": "unreachable"}, 502, "UNAVAILABLE", "nowhere"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_errors_are_the_sdks_own(
    client: genai.Client, wish: dict[str, Any], code: int, status: str, words: str, streamed: bool
) -> None:
    wanted: dict[str, Any] = {"model": "talker", "contents": "Hello", **wish}
    kind = errors.ClientError if code < 500 else errors.ServerError
    ask: Any = client.models.generate_content_stream if streamed else client.models.generate_content
    with pytest.raises(kind, match=words) as caught:
        [*ask(**wanted)]
    assert (caught.value.code, caught.value.status) == (code, status)


def test_a_stream_that_breaks_is_an_error_and_not_an_end(client: genai.Client) -> None:
    reasons: list[Any] = []

    def read() -> None:
        for chunk in client.models.generate_content_stream(model="cut", contents="Hello"):
            reasons.extend([each.finish_reason for each in chunk.candidates or () if each.finish_reason])

    with pytest.raises(errors.ServerError, match="cutter"):
        read()
    assert reasons == []


def test_a_body_that_is_too_large_is_the_sdks_own_error(client: genai.Client) -> None:
    with pytest.raises(errors.ClientError, match="65536") as caught:
        client.models.generate_content(model="talker", contents="x" * 70_000)
    assert caught.value.code == 413


@pytest.mark.parametrize("streamed", [False, True])
def test_the_sdk_may_think_that_it_speaks_to_vertex_ai(daemon: Daemon, streamed: bool) -> None:
    client = genai.Client(vertexai=True, api_key="unused", http_options={"base_url": address(daemon)})
    for model, vendor in (("talker", "sim"), ("well/shared", "well")):
        if streamed:
            [*_, answer] = client.models.generate_content_stream(model=model, contents="Hello")
        else:
            answer = client.models.generate_content(model=model, contents="Hello")
        assert answer.usage_metadata is not None
        assert _headers(answer)["x-dispatch-vendor"] == vendor
    assert client.models.count_tokens(model="talker", contents="Hello").total_tokens
    client.close()


def test_vertex_ais_longer_paths_are_known(daemon: Daemon) -> None:
    place = "v1beta1/projects/p/locations/l/publishers/google/models/talker:generateContent"
    body = {"contents": {"parts": {"text": "Hello"}}}
    answer = httpx.post(f"{address(daemon)}/{place}", json=body)
    assert answer.json()["candidates"][0]["content"]["role"] == "model"


@pytest.mark.parametrize("version", ["v1beta", "v1"])
def test_without_alt_sse_a_stream_is_a_json_array(daemon: Daemon, version: str) -> None:
    body = {"contents": [{"parts": [{"text": "Hello"}]}]}
    url = f"{address(daemon)}/{version}/models/talker:streamGenerateContent?key=unused"
    answer = httpx.post(url, json=body)
    assert answer.headers["content-type"].startswith("application/json")
    *_, last = json.loads(answer.content)
    assert last["candidates"][0]["finishReason"] == "STOP"
    assert float(last["x_dispatch"]["cost"]) > 0


def test_what_is_not_there_is_refused_in_googles_envelope(daemon: Daemon) -> None:
    for method, path in (
        ("POST", "v1beta/models/talker:batchPredict"),
        ("POST", "v1beta/models/talker"),
        ("POST", "v1/models/talker:batchGenerateContent"),
        ("GET", "v1beta/files"),
        ("PUT", "v1beta/models/talker"),
    ):
        answer = httpx.request(method, f"{address(daemon)}/{path}", json={})
        assert answer.status_code == (405 if method == "PUT" else 404)
        assert answer.json()["error"]["status"] in ("NOT_FOUND", "INVALID_ARGUMENT"), path


@pytest.mark.slow
def test_a_client_that_leaves_ends_the_exchange_with_the_vendor(daemon: Daemon) -> None:
    client = genai.Client(api_key="unused", http_options={"base_url": address(daemon)})

    def gone() -> Any:
        stats = httpx.get(daemon.url + "/stats").json()
        slow = stats["statistics"]["vendors"].get("slow", {})
        in_flight = stats["vendors"]["slow"]["deployments"]["slow/drawler"]["in_flight"]
        return slow.get("errors", {}).get("client_gone", 0), in_flight

    before, _ = gone()
    stream: Any = client.models.generate_content_stream(model="drawler", contents="Hello")
    next(stream)
    stream.close()
    client.close()
    deadline = time.monotonic() + 5
    while gone()[0] == before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert gone() == (before + 1, 0)


def test_the_asynchronous_client_streams_many_answers_at_once(daemon: Daemon) -> None:
    async def one(client: genai.Client) -> str:
        stream = await client.aio.models.generate_content_stream(model="talker", contents="Hello")
        return "".join([chunk.text or "" async for chunk in stream])

    async def main() -> list[str]:
        client = genai.Client(api_key="unused", http_options={"base_url": address(daemon)})
        found = await asyncio.gather(*(one(client) for _ in range(20)))
        await client.aio.aclose()
        return found

    assert all(asyncio.run(main()))

"""The simulated vendor: what it answers, how long it takes, and how it goes wrong."""

from __future__ import annotations

import random
import statistics
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.config.schema import Faults, Limits, Simulation
from llm_dispatcher.runtime.config.units import Seconds, TokenCount
from llm_dispatcher.runtime.simulated import SimulatedTransport
from llm_dispatcher.runtime.simulated.schema import invent
from llm_dispatcher.runtime.simulated.speech import pieces_of, quote, reply

URL = "https://simulated.invalid/v1/chat/completions"
ORDINARY = Simulation()
UNLIMITED = Limits()
QUESTION = "Why is the sky blue?"
WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 1, "maximum": 5},
            },
            "required": ["city", "days"],
        },
    },
}


def vendor(
    simulation: Simulation = ORDINARY, *, seed: int = 1, limits: Limits = UNLIMITED
) -> SimulatedTransport:
    return SimulatedTransport(simulation, rng=random.Random(seed), limits=limits)


def asking(**more: Any) -> httpx.Request:
    body = {"model": "sim", "messages": [{"role": "user", "content": QUESTION}], **more}
    return httpx.Request("POST", URL, content=msgspec.json.encode(body))


async def ask(transport: SimulatedTransport, **more: Any) -> Any:
    response = await transport.handle_async_request(asking(**more))
    assert response.status_code == 200
    return msgspec.json.decode(await response.aread())


async def stream(transport: SimulatedTransport, **more: Any) -> list[Any]:
    """The events of a streamed answer, `"[DONE]"` included."""
    response = await transport.handle_async_request(asking(stream=True, **more))
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    return [event async for event in events_of(response)]


async def events_of(response: httpx.Response) -> AsyncIterator[Any]:
    async for piece in response.aiter_raw():
        data = piece.removeprefix(b"data: ").removesuffix(b"\n\n")
        yield "[DONE]" if data == b"[DONE]" else msgspec.json.decode(data)


def text_of(events: list[Any], index: int = 0) -> str:
    choices = [choice for event in events if event != "[DONE]" for choice in event["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices if choice["index"] == index)


def is_true_to(schema: dict[str, Any], value: Any) -> bool:
    """Whether `value` is what the few keywords used in these tests demand."""
    kinds: dict[str, Callable[[], bool]] = {
        "string": lambda: isinstance(value, str),
        "boolean": lambda: isinstance(value, bool),
        "null": lambda: value is None,
        "integer": lambda: (
            isinstance(value, int) and not isinstance(value, bool) and in_bounds(schema, value)
        ),
        "number": lambda: isinstance(value, int | float) and in_bounds(schema, value),
        "array": lambda: (
            isinstance(value, list)
            and schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 1000)
            and all(is_true_to(schema["items"], item) for item in value)
        ),
        "object": lambda: (
            isinstance(value, dict)
            and all(name in value for name in schema.get("required", ()))
            and all(is_true_to(schema["properties"][name], item) for name, item in value.items())
        ),
    }
    if "enum" in schema:
        return value in schema["enum"]
    return kinds[schema["type"]]()


def in_bounds(schema: dict[str, Any], value: float) -> bool:
    return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))


# --- what is said -------------------------------------------------------------------------------


async def test_an_answer_says_that_it_is_simulated_and_quotes_the_question(autojump_clock: object) -> None:
    answer = await ask(vendor())
    (choice,) = answer["choices"]
    assert "simulated" in choice["message"]["content"].lower()
    assert QUESTION in choice["message"]["content"]
    assert (choice["finish_reason"], answer["object"], answer["model"]) == ("stop", "chat.completion", "sim")


@pytest.mark.parametrize("more", [{}, {"n": 3}, {"max_tokens": 5}, {"stop": "simulated"}])
async def test_streamed_and_whole_answers_agree_for_the_same_seed(
    autojump_clock: object, more: dict[str, Any]
) -> None:
    whole = await ask(vendor(seed=7), **more)
    events = await stream(vendor(seed=7), stream_options={"include_usage": True}, **more)
    for choice in whole["choices"]:
        assert text_of(events, choice["index"]) == choice["message"]["content"]
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    assert events[-1] == "[DONE]"
    assert events[-2]["choices"] == []
    assert events[-2]["usage"] == whole["usage"]
    finishes = [event["choices"][0]["finish_reason"] for event in events[:-2]]
    assert [finish for finish in finishes if finish] == [c["finish_reason"] for c in whole["choices"]]


async def test_another_seed_gives_another_answer_and_the_requests_own_seed_decides(
    autojump_clock: object,
) -> None:
    first, second = await ask(vendor(seed=1)), await ask(vendor(seed=2))
    assert first["choices"] != second["choices"]
    first, second = await ask(vendor(seed=1), seed=5), await ask(vendor(seed=2), seed=5)
    assert first["choices"] == second["choices"]
    assert first["id"] != second["id"]


async def test_requests_that_overlap_get_what_they_would_get_one_after_another(
    autojump_clock: object,
) -> None:
    calm = vendor(seed=3)
    apart = [(await ask(calm))["choices"] for _ in range(5)]
    busy = vendor(seed=3)
    together: dict[int, Any] = {}

    async def caller(number: int) -> None:
        await trio.sleep(number / 100)
        together[number] = (await ask(busy))["choices"]

    async with trio.open_nursery() as callers:
        for number in range(5):
            callers.start_soon(caller, number)
    assert [together[number] for number in range(5)] == apart


async def test_usage_is_reported_in_a_stream_only_when_asked_for(autojump_clock: object) -> None:
    events = await stream(vendor())
    assert not any("usage" in event for event in events[:-1])


async def test_usage_counts_about_four_characters_a_token_on_both_sides(autojump_clock: object) -> None:
    answer = await ask(vendor(), messages=[{"role": "user", "content": "word " * 800}])
    usage = answer["usage"]
    assert usage["prompt_tokens"] == pytest.approx(1000, rel=0.05)
    said = len(answer["choices"][0]["message"]["content"])
    assert usage["completion_tokens"] == pytest.approx(said / 4, rel=0.3)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_a_limit_on_tokens_is_kept_exactly_and_named_as_the_reason(autojump_clock: object) -> None:
    for limit in ("max_tokens", "max_completion_tokens"):
        answer = await ask(vendor(), **{limit: 4})
        assert answer["usage"]["completion_tokens"] == 4
        assert answer["choices"][0]["finish_reason"] == "length"


async def test_answers_are_about_as_long_as_configured(autojump_clock: object) -> None:
    transport = vendor(Simulation(reply_tokens=TokenCount(80)))
    lengths = [(await ask(transport))["usage"]["completion_tokens"] for _ in range(200)]
    assert statistics.mean(lengths) == pytest.approx(80, rel=0.1)
    assert len(set(lengths)) > 20


@given(st.text(max_size=300), st.integers(1, 200), st.integers())
def test_pieces_are_the_text_and_an_opening_is_never_lost(question: str, tokens: int, seed: int) -> None:
    text = reply(random.Random(seed), question, tokens)
    assert "".join(pieces_of(text)) == text
    assert "simulated" in text.lower()
    assert len(quote(question)) <= 51


# --- tools and JSON -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        {"tool_choice": "required"},
        {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
        {"messages": [{"role": "user", "content": "Please get weather for me"}]},
        {"tool_choice": "auto", "messages": [{"role": "user", "content": "use get_weather"}]},
    ],
)
async def test_a_tool_that_is_demanded_or_spoken_of_is_called_with_fitting_arguments(
    autojump_clock: object, more: dict[str, Any]
) -> None:
    answer = await ask(vendor(seed=4), tools=[WEATHER_TOOL], **more)
    (choice,) = answer["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert call["function"]["name"] == "get_weather"
    arguments = msgspec.json.decode(call["function"]["arguments"])
    assert is_true_to(WEATHER_TOOL["function"]["parameters"], arguments)  # type: ignore[index]  # a literal
    events = await stream(vendor(seed=4), tools=[WEATHER_TOOL], **more)
    deltas = [event["choices"][0]["delta"].get("tool_calls") for event in events[:-1]]
    calls = [delta[0] for delta in deltas if delta]
    assert calls[0]["id"] == call["id"]
    assert "".join(each["function"]["arguments"] for each in calls) == call["function"]["arguments"]


@pytest.mark.parametrize("more", [{}, {"tool_choice": "none"}, {"tool_choice": "auto"}])
async def test_a_tool_nobody_spoke_of_is_left_alone(autojump_clock: object, more: dict[str, Any]) -> None:
    answer = await ask(vendor(), tools=[WEATHER_TOOL], **more)
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert "tool_calls" not in answer["choices"][0]["message"]


async def test_a_tools_result_is_quoted(autojump_clock: object) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "get_weather please"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "17 degrees, drizzle"},
    ]
    answer = await ask(vendor(), messages=messages, tools=[WEATHER_TOOL])
    assert "17 degrees, drizzle" in answer["choices"][0]["message"]["content"]


async def test_an_answer_in_json_fits_its_schema(autojump_clock: object) -> None:
    schema = {
        "type": "object",
        "properties": {"steps": {"type": "array", "items": {"$ref": "#/$defs/step"}}},
        "required": ["steps"],
        "$defs": {"step": {"type": "string", "enum": ["a", "b"]}},
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "plan", "schema": schema}}
    answer = await ask(vendor(), response_format=wanted)
    made = msgspec.json.decode(answer["choices"][0]["message"]["content"])
    assert set(made["steps"]) <= {"a", "b"}
    answer = await ask(vendor(), response_format={"type": "json_object"})
    assert isinstance(msgspec.json.decode(answer["choices"][0]["message"]["content"]), dict)


LEAVES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.sampled_from([{"type": "string"}, {"type": "boolean"}, {"type": "null"}, {"enum": ["x", 2, None]}]),
    st.builds(
        lambda kind, low, width: {"type": kind, "minimum": low, "maximum": low + width},
        st.sampled_from(["integer", "number"]),
        st.integers(-1000, 1000),
        st.integers(0, 50),
    ),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda items, low, width: {
                "type": "array",
                "items": items,
                "minItems": low,
                "maxItems": low + width,
            },
            inner,
            st.integers(0, 3),
            st.integers(0, 3),
        ),
        st.dictionaries(st.sampled_from("abcd"), inner, max_size=4).map(
            lambda shapes: {"type": "object", "properties": shapes, "required": list(shapes)[::2]}
        ),
    ),
    max_leaves=8,
)


@given(SCHEMAS, st.integers())
def test_what_is_made_up_fits_the_schema(schema: dict[str, Any], seed: int) -> None:
    assert is_true_to(schema, invent(schema, random.Random(seed)))


@given(st.integers())
def test_a_schema_that_contains_itself_comes_to_an_end(seed: int) -> None:
    node: dict[str, Any] = {
        "type": "object",
        "properties": {
            "children": {"type": "array", "items": {"$ref": "#"}},
            "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        },
        "required": ["children", "next"],
    }
    twins: dict[str, Any] = {"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "required": ["a", "b"]}
    assert len(msgspec.json.encode(invent(twins, random.Random(seed)))) < 1_000_000
    assert len(msgspec.json.encode(invent(node, random.Random(seed)))) < 100_000


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "type",
                        "items",
                        "properties",
                        "anyOf",
                        "allOf",
                        "$ref",
                        "enum",
                        "required",
                        "minItems",
                        "maximum",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
    ),
    st.integers(),
)
def test_no_schema_however_wrong_breaks_it(schema: Any, seed: int) -> None:
    whole = schema if isinstance(schema, dict) else {"properties": {"a": schema}}
    msgspec.json.encode(invent(whole, random.Random(seed)))


# --- time ---------------------------------------------------------------------------------------


async def test_the_first_token_comes_after_the_configured_median(autojump_clock: object) -> None:
    transport = vendor(Simulation(first_token=Seconds(2), spread=0.5))
    waits = []
    for _ in range(300):
        begun = trio.current_time()
        await transport.handle_async_request(asking(stream=True))
        waits.append(trio.current_time() - begun)
    assert statistics.median(waits) == pytest.approx(2, rel=0.1)
    assert max(waits) > 4


async def test_tokens_keep_the_configured_pace(autojump_clock: object) -> None:
    transport = vendor(Simulation(spread=0, tokens_per_second=10, reply_tokens=TokenCount(100)))
    response = await transport.handle_async_request(asking(stream=True))
    assert trio.current_time() == pytest.approx(0.35)
    tokens = 0
    async for event in events_of(response):
        tokens += event != "[DONE]" and bool(event["choices"][0]["delta"].get("content"))
    assert trio.current_time() - 0.35 == pytest.approx((tokens - 1) / 10, rel=0.1)


async def test_a_whole_answer_takes_as_long_as_its_stream(autojump_clock: object) -> None:
    await ask(vendor(seed=9))
    taken = trio.current_time()
    await stream(vendor(seed=9))
    assert trio.current_time() - taken == pytest.approx(taken)


async def test_a_slow_reader_finds_the_rest_waiting(autojump_clock: object) -> None:
    response = await vendor().handle_async_request(asking(stream=True))
    pieces = aiter(response.aiter_raw())
    await anext(pieces)
    await trio.sleep(60)
    before = trio.current_time()
    assert len([piece async for piece in pieces]) > 10
    assert trio.current_time() == before


# --- faults -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "status"),
    [
        (Faults(server_error=1.0), 500),
        (Faults(overloaded=1.0), 503),
        (Faults(rate_limited=1.0), 429),
    ],
)
async def test_a_refusal_has_openais_envelope(autojump_clock: object, faults: Faults, status: int) -> None:
    response = await vendor(Simulation(faults=faults)).handle_async_request(asking())
    error = msgspec.json.decode(await response.aread())["error"]
    assert response.status_code == status
    assert "simulated" in error["message"]
    assert set(error) == {"message", "type", "param", "code"}
    assert response.headers.get("retry-after") == ("1" if status == 429 else None)
    assert response.headers["x-request-id"]
    assert "date" not in response.headers


async def test_faults_come_in_the_configured_shares(autojump_clock: object) -> None:
    transport = vendor(Simulation(faults=Faults(server_error=0.2, overloaded=0.1, refuse_connection=0.1)))
    seen: dict[object, int] = {}
    for _ in range(500):
        try:
            status: object = (await transport.handle_async_request(asking())).status_code
        except httpx.ConnectError:
            status = "refused"
        seen[status] = seen.get(status, 0) + 1
    assert {key: pytest.approx(count / 500, abs=0.05) for key, count in seen.items()} == {
        200: 0.6,
        500: 0.2,
        503: 0.1,
        "refused": 0.1,
    }


async def test_a_cut_stream_ends_after_some_content_without_its_end(autojump_clock: object) -> None:
    transport = vendor(Simulation(faults=Faults(cut=1.0)))
    for _ in range(20):
        events = await stream(transport)
        assert text_of(events)
        assert "[DONE]" not in events
        assert not any(event["choices"][0]["finish_reason"] for event in events)


async def test_a_cut_whole_answer_breaks_within_its_body(autojump_clock: object) -> None:
    response = await vendor(Simulation(faults=Faults(cut=1.0))).handle_async_request(asking())
    pieces = aiter(response.aiter_raw())
    received = await anext(pieces)
    with pytest.raises(httpx.RemoteProtocolError):
        await anext(pieces)
    assert 0 < len(received) < int(response.headers["content-length"])


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_stalled_answer_is_silent_until_the_caller_gives_up(
    autojump_clock: object, streamed: bool
) -> None:
    transport = vendor(Simulation(faults=Faults(stall=1.0)))
    received = b""
    with trio.move_on_after(86400) as patience:
        response = await transport.handle_async_request(asking(stream=streamed))
        async for piece in response.aiter_raw():
            received += piece
    assert patience.cancelled_caught
    assert b"[DONE]" not in received


async def test_a_cancelled_caller_leaves_nothing_behind(autojump_clock: object) -> None:
    transport = vendor()
    with trio.move_on_after(0.01) as patience:
        await transport.handle_async_request(asking())
    assert patience.cancelled_caught
    assert (await ask(transport))["choices"]


async def test_empty_and_cut_at_once_still_make_a_stream(autojump_clock: object) -> None:
    broken = Simulation(faults=Faults(cut=1.0))
    events = await stream(vendor(broken), max_tokens=1)
    assert [event["choices"][0]["delta"] for event in events] == [
        {"role": "assistant", "content": "", "refusal": None}
    ]
    silent = await ask(vendor(), stop=["", "This", "You", "Sim", "No"])
    assert silent["choices"][0]["message"]["content"] == ""


# --- limits -------------------------------------------------------------------------------------


async def test_requests_above_the_limit_are_refused_until_the_time_that_is_named(
    autojump_clock: object,
) -> None:
    quick = Simulation(first_token=Seconds(0), spread=0, tokens_per_second=1e6)
    transport = vendor(quick, limits=Limits(requests_per_minute=TokenCount(6), burst=0.5))
    for _ in range(3):
        assert (await transport.handle_async_request(asking())).status_code == 200
    refused = await transport.handle_async_request(asking())
    error = msgspec.json.decode(await refused.aread())["error"]
    assert refused.status_code == 429
    assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
    assert refused.headers["x-ratelimit-limit-requests"] == "6"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["x-ratelimit-reset-requests"].endswith("s")
    await trio.sleep(int(refused.headers["retry-after-ms"]) / 1000)
    assert (await transport.handle_async_request(asking())).status_code == 200


async def test_over_a_minute_no_more_tokens_pass_than_allowed(autojump_clock: object) -> None:
    quick = Simulation(first_token=Seconds(0), spread=0, tokens_per_second=1e6)
    transport = vendor(quick, limits=Limits(tokens_per_minute=TokenCount(6000)))
    used = 0
    while trio.current_time() < 60:
        response = await transport.handle_async_request(asking())
        answer = msgspec.json.decode(await response.aread())
        if response.status_code == 429:
            assert answer["error"]["type"] == "tokens"
            await trio.sleep(int(response.headers["retry-after"]))
        else:
            used += answer["usage"]["total_tokens"]
    assert 5000 < used <= 6000 * 1.1 + 100 + 1


async def test_a_request_larger_than_the_burst_passes_when_nothing_else_was_used(
    autojump_clock: object,
) -> None:
    transport = vendor(limits=Limits(tokens_per_minute=TokenCount(100)))
    response = await transport.handle_async_request(asking())
    assert response.status_code == 200


# --- bad requests -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"messages": []}',
        b'{"model": "m", "messages": []}',
        b'{"model": "m", "messages": "hello"}',
        b'{"model": "m", "messages": [{"role": "user", "content": "a"}], "max_tokens": 0}',
        b'{"model": "m", "messages": [{"role": "user", "content": "a"}], "n": 0}',
        b'{"model": "m", "messages": [{"role": "user", "content": "a"}], "tool_choice": "required"}',
        b'{"model": "m", "messages": [{"role": "user", "content": "a"}], "tool_choice": "sometimes"}',
        b'{"model": "m", "messages": [{"role": "user", "content": "a"}], '
        b'"tool_choice": {"type": "function", "function": {"name": "nobody"}}}',
    ],
)
async def test_a_malformed_request_is_refused_with_400(autojump_clock: object, content: bytes) -> None:
    response = await vendor().handle_async_request(httpx.Request("POST", URL, content=content))
    assert response.status_code == 400
    assert msgspec.json.decode(await response.aread())["error"]["type"] == "invalid_request_error"


async def test_other_addresses_and_methods_are_refused(autojump_clock: object) -> None:
    elsewhere = await vendor().handle_async_request(httpx.Request("POST", "https://s.invalid/v1/moderations"))
    assert elsewhere.status_code == 404
    got = await vendor().handle_async_request(httpx.Request("GET", URL))
    assert got.status_code == 405


async def test_openais_own_client_library_understands_it(autojump_clock: object) -> None:
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

    more = {"n": 2, "tools": [WEATHER_TOOL], "tool_choice": "required"}
    for extra in ({}, more):
        whole = await ask(vendor(), **extra)
        assert ChatCompletion.model_validate(whole, strict=True).usage is not None
        for event in (await stream(vendor(), **extra))[:-1]:
            ChatCompletionChunk.model_validate(event, strict=True)

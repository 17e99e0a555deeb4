"""The chat-completions format: recordings against their oracle, round trips, cuts, errors, and what clients are sent."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime.assembly import Assembler
from llm_dispatcher.runtime.canon import (
    Choice,
    Completion,
    Event,
    Failed,
    Finished,
    Image,
    JsonOutput,
    Message,
    Opened,
    Reasoning,
    RefusalDelta,
    Request,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    ToolResult,
    Usage,
    UsageReported,
)
from llm_dispatcher.runtime.dialects import Answer, Dialect, Target, Unsupported, VendorFault
from llm_dispatcher.runtime.dialects.azure import Azure
from llm_dispatcher.runtime.dialects.formats.chat_completions import reply, request, stream
from llm_dispatcher.runtime.dialects.formats.chat_completions.quirks import Quirks
from llm_dispatcher.runtime.dialects.formats.chat_completions.usage import read_usage
from llm_dispatcher.runtime.dialects.openai import OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from tests.corpus import folder, needs_corpus


def dialect(kind: type[Dialect] = OpenAI, **more: Any) -> Dialect:
    return kind(
        Target(**{"vendor": "v", "base_url": "https://v.example/v1", "model": "m", "key": "k", **more})
    )


def decode(*pieces: bytes, **quirks: Any) -> list[Event]:
    decoder = dialect(options=quirks).decoder()
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return (
        b"data: "
        + json.dumps({"id": "c", "model": "m", "created": 1, "choices": choices, **more}).encode()
        + b"\n\n"
    )


DONE = b"data: [DONE]\n\n"
STREAM = b"".join(
    [
        b": keep-alive\r\n\r\n",
        chunk(None, prompt_filter_results=[{}], model=""),
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "Grüße"}),
        chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
        chunk({}, "tool_calls"),
        chunk(
            None,
            usage={"prompt_tokens": 5, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 2}},
        ),
        DONE,
    ]
)


def assembled(events: list[Event]) -> Completion:
    assembler = Assembler()
    for event in events:
        assembler.add(event)
    return assembler.completion("chat_completions")


def test_a_stream_adds_up() -> None:
    completion = assembled(decode(STREAM))
    assert completion.choices == [
        Choice(
            parts=[Thinking("hm"), Text("Grüße"), ToolCall("a", "f", "{}")],
            finish="tool_calls",
            vendor_finish="tool_calls",
        )
    ]
    assert completion.usage == Usage(input_tokens=5, output_tokens=7, cache_read_tokens=2)


def test_what_stands_beside_the_content_is_in_a_stream_where_it_is_in_a_whole_answer() -> None:
    """It was a part of the answer, as if the model had said it."""
    filtered = {"hate": {"filtered": False, "severity": "safe"}}
    cited = [{"type": "url_citation", "url_citation": {"url": "https://u.example"}}]
    likely = [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -0.2}]
    message = {"role": "assistant", "content": "ab", "annotations": cited}
    whole = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": {"content": likely, "refusal": None},
        "content_filter_results": filtered}  # fmt: skip
    body = {"id": "c", "model": "m", "created": 1, "choices": [whole]}
    streamed = []
    for letter, told in zip("ab", likely, strict=True):
        choice = {"index": 0, "delta": {"content": letter}, "logprobs": {"content": [told], "refusal": None}}
        streamed.append(chunk(None, choices=[{**choice, "content_filter_results": filtered}]))
    streamed += [chunk({"annotations": cited}), chunk({}, "stop"), DONE]
    events = decode(*streamed)
    assert assembled(events) == reply.read(json.dumps(body).encode())
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["a", "b"]
    # And a client of the format hears all of it.
    writer = stream.Writer(id="i", model="m", created=1, include_usage=False)
    sent = b"".join([writer.write(event) for event in events]) + writer.close()
    assert assembled(decode(sent)).choices == assembled(events).choices


def test_pieces_of_what_a_message_says_besides_make_a_whole() -> None:
    first = {"audio": {"id": "a", "data": "QUJD", "transcript": "He"}}
    second = {"audio": {"data": "REVG", "transcript": "llo", "expires_at": 9}}
    (choice,) = assembled(decode(chunk(first), chunk(second), chunk({}, "stop"), DONE)).choices
    whole = {"id": "a", "data": "QUJDREVG", "transcript": "Hello", "expires_at": 9}
    assert (choice.parts, choice.extra) == ([], {"chat_completions": {"message": {"audio": whole}}})


def test_mistrals_references_are_kept_in_a_stream_as_in_a_whole_answer() -> None:
    pieces: list[dict[str, Any]] = [
        {"type": "text", "text": "So it is"},
        {"type": "reference", "reference_ids": [1, 2]},
        {"type": "text", "text": "."},
    ]
    message = {"role": "assistant", "content": pieces}
    body = {"id": "c", "model": "m", "created": 1, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}  # fmt: skip
    events = decode(*[chunk({"content": [piece]}) for piece in pieces], chunk({}, "stop"), DONE)
    assert assembled(events) == reply.read(json.dumps(body).encode())
    # A client's text is made of texts.
    writer = stream.Writer(id="i", model="m", created=1, include_usage=False)
    sent = b"".join([writer.write(event) for event in events]) + writer.close()
    written = reply.write(assembled(events), id="i", model="m", created=1)
    assert (
        assembled(decode(sent)).choices[0].text == written["choices"][0]["message"]["content"] == "So it is."
    )


@given(cuts=st.sets(st.integers(1, len(STREAM) - 1), max_size=12))
def test_where_the_network_cuts_makes_no_difference(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert decode(*(STREAM[a:b] for a, b in pairwise(edges))) == decode(STREAM)


@given(end=st.integers(0, len(STREAM) - len(DONE)))
def test_a_stream_that_ends_early_is_never_complete(end: int) -> None:
    last = decode(STREAM[:end])[-1]
    assert isinstance(last, Failed)
    assert last.fault.kind is FaultClass.TRUNCATED


@given(junk=st.binary(max_size=200))
def test_junk_never_raises_and_is_never_complete(junk: bytes) -> None:
    assert isinstance(decode(junk)[-1], Failed)
    with pytest.raises(VendorFault):
        dialect().completion(junk)


def test_a_vendor_without_an_end_marker_is_done_when_every_choice_is() -> None:
    finished = [chunk({"content": "a"}), chunk({}, "stop")]
    assert isinstance(decode(*finished, done_marker=False)[-1], Finished)
    assert isinstance(decode(*finished[:1], done_marker=False)[-1], Failed)
    assert isinstance(decode(*finished)[-1], Failed)


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        (
            [chunk({"content": "a"}), b'data: {"error": {"message": "x"}}\n\n', DONE],
            FaultClass.IN_STREAM_ERROR,
        ),
        ([b'event: error\ndata: {"error": {"message": "x", "status_code": 503}}\n\n'], FaultClass.OVERLOADED),
        ([b'{"error": {"message": "x", "code": "rate_limit_exceeded"}}'], FaultClass.RATE_LIMITED),
        ([b"data: {oops\n\n"], FaultClass.MALFORMED),
        ([b"data: " + b"x" * (2 << 20)], FaultClass.OVERSIZED),
    ],
)
def test_an_error_within_a_200_is_the_last_event(pieces: list[bytes], kind: FaultClass) -> None:
    events = decode(*pieces)
    assert isinstance(events[-1], Failed)
    assert events[-1].fault.kind is kind
    assert sum(isinstance(event, Failed) for event in events) == 1


def calls(*deltas: list[dict[str, Any]]) -> list[ToolCall]:
    return assembled(decode(*(chunk({"tool_calls": each}) for each in deltas), DONE)).choices[0].tool_calls


def test_calls_without_an_index_or_an_id_are_told_apart() -> None:
    assert calls(
        [{"id": "a", "function": {"name": "f", "arguments": '{"x":'}}],
        [{"function": {"arguments": "1}"}}],
        [{"id": "b", "function": {"name": "g", "arguments": "{}"}}],
    ) == [ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "{}")]
    made_up = calls(
        [{"id": "", "function": {"name": "f", "arguments": "{}"}}],
        [{"id": "", "function": {"name": "g", "arguments": "{}"}}],
    )
    assert [call.name for call in made_up] == ["f", "g"]
    assert len({call.id for call in made_up}) == 2


def test_usage_is_found_wherever_a_vendor_puts_it() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    for last in ({"usage": usage}, {"x_groq": {"usage": usage}}):
        found = assembled(decode(chunk({"content": "a"}), chunk({}, "stop", **last), DONE)).usage
        assert found == Usage(input_tokens=3, output_tokens=4)


@pytest.mark.parametrize(
    ("beside", "usage"),
    [
        ({}, Usage(input_tokens=3, output_tokens=4)),
        ({"total_tokens": 7}, Usage(input_tokens=3, output_tokens=4)),
        ({"total_tokens": 5}, Usage(input_tokens=3, output_tokens=4)),
        ({"total_tokens": 9}, Usage(input_tokens=3, output_tokens=6, reasoning_tokens=2)),
        (
            {"total_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 2}},
            Usage(input_tokens=3, output_tokens=6, reasoning_tokens=2),
        ),
        (
            {"total_tokens": 7, "completion_tokens_details": {"reasoning_tokens": 2}},
            Usage(input_tokens=3, output_tokens=4, reasoning_tokens=2),
        ),
        (
            {"total_tokens": 9, "prompt_audio_seconds": 1},
            Usage(input_tokens=5, output_tokens=4, audio_input_tokens=2),
        ),
    ],
)
def test_tokens_that_only_the_total_shows_are_not_forgotten(beside: dict[str, Any], usage: Usage) -> None:
    assert read_usage({"prompt_tokens": 3, "completion_tokens": 4, **beside}) == usage


def test_content_may_be_a_list_of_pieces() -> None:
    pieces = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "yes"},
    ]
    body = {"choices": [{"index": 0, "message": {"content": pieces}, "finish_reason": "stop"}]}
    choice = dialect().completion(json.dumps(body).encode()).choices[0]
    assert (choice.thinking, choice.text) == ("hm", "yes")
    streamed = assembled(decode(chunk({"content": pieces}), DONE)).choices[0]
    assert (streamed.thinking, streamed.text) == ("hm", "yes")


@pytest.mark.parametrize(
    "delta",
    [
        {"tool_calls": [{"index": 10**9, "function": {}}]},
        {"tool_calls": [{"index": -1, "function": {}}]},
        {"tool_calls": [{"id": f"t{number}", "function": {}} for number in range(2000)]},
        {"tool_calls": [{"id": "x" * 5000, "function": {}}]},
    ],
    ids=["a billionth", "before the first", "too many", "an endless id"],
)
def test_calls_that_could_only_fill_the_memory_end_the_stream(delta: dict[str, Any]) -> None:
    last = decode(chunk(delta))[-1]
    assert isinstance(last, Failed)
    assert last.fault.kind is FaultClass.MALFORMED


@pytest.mark.parametrize("index", [-1, 10**9])
def test_a_choice_that_nobody_asked_for_ends_the_stream(index: int) -> None:
    last = decode(chunk(choices=[{"index": index, "delta": {"content": "x"}}]))[-1]
    assert isinstance(last, Failed)


def test_an_error_event_with_broken_text_is_a_fault_like_any_other() -> None:
    (failed,) = decode(b'event: error\ndata: {"x": "\xff"}\n\n')
    assert isinstance(failed, Failed)


@pytest.mark.parametrize("index", [True, -1, "0", 10**9])
def test_a_choice_of_a_whole_answer_with_a_wrong_number_has_that_of_its_place(index: Any) -> None:
    choice = {"index": index, "message": {"content": "x"}}
    assert dialect().completion(json.dumps({"choices": [choice]}).encode()).choices[0].index == 0


@pytest.mark.parametrize(
    "message",
    [{"content": "x", "tool_calls": 5}, {"content": [{"type": "thinking", "thinking": 5}, {"type": "text", "text": "x"}]}],
)  # fmt: skip
def test_what_should_be_a_list_and_is_none_is_left_out(message: dict[str, Any]) -> None:
    completion = dialect().completion(json.dumps({"choices": [{"message": message}]}).encode())
    assert completion.choices[0].text == "x"


@pytest.mark.parametrize("count", [-1, 10**30, True, "5", None])
def test_what_is_no_number_of_tokens_counts_as_none(count: Any) -> None:
    body = {"choices": [], "usage": {"prompt_tokens": count, "completion_tokens": 7}}
    assert dialect().completion(json.dumps(body).encode()).usage == Usage(output_tokens=7)


@pytest.mark.parametrize("depth", [300, 950, 990, 100_000])
def test_an_answer_that_is_nested_too_deeply_is_malformed(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    with pytest.raises(VendorFault) as caught:
        dialect().completion(b'{"choices":[{"message":{"content":"x"},"logprobs":%b}]}' % deep)
    assert caught.value.fault.kind is FaultClass.MALFORMED
    last = decode(b'data: {"choices":[{"delta":{"content":"x"},"logprobs":%b}]}\n\n' % deep)[-1]
    assert isinstance(last, Failed)


# --- requests -----------------------------------------------------------------------------------


def equivalent(body: dict[str, Any]) -> Any:
    """A body without what may differ: how an absent value, a bound, a stop, an image or a lone text is written."""
    body = _without_nulls(json.loads(json.dumps(body)))
    body.pop("stream_options", None)
    if body.get("stream") is False:
        del body["stream"]
    if "max_tokens" in body:
        body["max_completion_tokens"] = body.pop("max_tokens")
    for name in ("stop", "tools"):
        if isinstance(body.get(name), str):
            body[name] = [body[name]]
        if body.get(name) == []:
            del body[name]
    for tool in body.get("tools", []):
        if "function" in tool:
            tool.pop("name", None)
    for message in body["messages"]:
        content = message.get("content")
        if isinstance(content, list) and len(content) == 1 and content[0].keys() == {"type", "text"}:
            message["content"] = content[0]["text"]
        if not message.get("content"):
            message.pop("content", None)
        for part in content if isinstance(content, list) else []:
            if isinstance(part.get("image_url"), str):
                part["image_url"] = {"url": part["image_url"]}
        for call in message.get("tool_calls", []):
            call.pop("index", None)
    return body


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


@needs_corpus
@pytest.mark.parametrize("name", ["openai-chat", "azure-openai-chat"])
def test_a_recorded_request_read_and_written_again_is_the_same(name: str) -> None:
    refused = []
    for recording in folder(name):
        body = {**recording.request_body, "model": recording.request_body.get("model") or "deployment"}
        try:
            read = request.read(json.dumps(body).encode())
        except request.InvalidBody as error:
            refused.append(f"{recording.name}: {error}")
            continue
        written, dropped = request.write(
            read.request, body["model"], Quirks(), stream=read.stream, lenient=False
        )
        assert dropped == ()
        assert equivalent(json.loads(written)) == equivalent(body), recording.name
    # The one that was recorded for being refused by OpenAI too: a bound of no tokens.
    assert [line.partition(": ")[2] for line in refused] == (
        ["max_tokens: must be at least 1"] if name == "openai-chat" else []
    )


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0].image_url",
        ),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"temperature": "warm"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 10**400}, "max_tokens"),
        ({"n": -5}, "n"),
        ({"n": 10**6}, "n"),
        ({"seed": 10**400}, "seed"),
        ({"messages": [{"role": []}]}, "messages[0].role"),
        ({"messages": [{"role": "assistant", "tool_calls": 5}]}, "messages[0].tool_calls"),
        (
            {"tools": [{"function": {"name": "f", "description": 5}}]},
            "tools[0].function.description",
        ),
        ({"tools": [{"function": {"name": "f", "strict": {}}}]}, "tools[0].function.strict"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": 5}}},
            "response_format.json_schema.name",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "u", "detail": 5}}],
                    }
                ]
            },
            "messages[0].content[0].image_url.detail",
        ),
    ],
)
def test_a_wrong_body_is_refused_by_the_fields_name(body: dict[str, Any], param: str) -> None:
    with pytest.raises(request.InvalidBody) as caught:
        request.read(
            json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], **body}).encode()
        )
    assert caught.value.param == param


def test_a_schema_that_hugging_faces_client_has_moved_is_found() -> None:
    wanted = {"type": "json_object", "value": {"type": "object"}}
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "response_format": wanted}
    assert request.read(json.dumps(body).encode()).request.output == JsonOutput({"type": "object"})


@pytest.mark.parametrize("depth", [129, 500, 950, 990, 100_000])
def test_a_body_that_is_nested_too_deeply_is_refused(depth: int) -> None:
    # Some depths can be read and not be written again, further down the stack.
    schema = b'{"a":' * depth + b"1" + b"}" * depth
    with pytest.raises(request.InvalidBody, match=r"nested deeper than 128|recursion"):
        request.read(
            b'{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"function":{"name":"f",'
            b'"parameters":%b}}]}' % schema
        )


@given(junk=st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda each: st.lists(each) | st.dictionaries(st.text(), each), max_leaves=8), name=st.sampled_from(["messages", "tools", "tool_choice", "response_format", "stop", "n", "model"]))  # fmt: skip
def test_any_body_is_read_or_refused(junk: Any, name: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], name: junk}
    with suppress(request.InvalidBody):
        assert request.read(json.dumps(body).encode()).request.messages


def test_what_the_format_cannot_say_is_refused_or_dropped_by_name() -> None:
    messages = [Message("user", "x")]
    for wish, feature in (
        (Request(model="m", messages=messages, top_k=3), "top_k"),
        (Request(model="m", messages=messages, reasoning=Reasoning(budget_tokens=9)), "reasoning budget"),
        (Request(model="m", messages=messages, extra={"messages": {"container": 1}}), "messages.container"),
    ):
        with pytest.raises(Unsupported):
            dialect().build(wish, stream=False)
        assert dialect(lenient=True).build(wish, stream=False).dropped == (feature,)


def test_the_doors_lead_where_they_should() -> None:
    wish = Request(model="m", messages=[Message("user", "x")], max_tokens=5)

    def sent(door: Dialect, stream: bool = False) -> tuple[str, Any, Any]:
        built = door.build(wish, stream=stream).request
        return str(built.url), built.headers, json.loads(built.read())

    url, headers, body = sent(dialect(options={"organization": "o"}), stream=True)
    assert (url, headers["authorization"], headers["openai-organization"]) == (
        "https://v.example/v1/chat/completions",
        "Bearer k",
        "o",
    )
    assert body["max_tokens"] == 5
    assert body["stream_options"] == {"include_usage": True}
    assert "max_completion_tokens" in sent(dialect(base_url="https://api.openai.com/v1"))[2]
    url, headers, _ = sent(
        dialect(Azure, base_url="https://r.example", options={"api_version": "2024-10-21"})
    )
    assert url == "https://r.example/openai/deployments/m/chat/completions?api-version=2024-10-21"
    assert headers["api-key"] == "k"
    assert sent(dialect(Azure, base_url="https://r.example", options={"api_version": "v1"}))[0] == (
        "https://r.example/openai/v1/chat/completions"
    )
    for kind in (OpenAI, Azure):
        with pytest.raises(ValueError, match="max_tokens_field"):
            dialect(kind, options={"oops": 1})


def test_what_is_sent_has_the_sdks_own_type() -> None:
    turns = [
        Message("system", "be brief"),
        Message("user", [Text("look"), Image(url="https://e.org/i.png", detail="low"), Image(data="aGk=")]),
        Message(
            "assistant",
            [Thinking("hm", "s", format="messages"), ToolCall("a", "f", "{}"), ToolCall("b", "f")],
        ),
        Message("tool", [ToolResult("a", "one"), ToolResult("b", [Text("two")])]),
    ]
    wish = Request(
        model="m", messages=turns, tools=[Tool("f", "does", {"type": "object"}, strict=True)],
        tool_choice=ToolChoice("named", "f"), parallel_tool_calls=False, output=JsonOutput({"type": "object"}, "n"),
        max_tokens=5, temperature=0.5, top_p=0.5, stop=["x"], seed=1, n=2, logprobs=True, top_logprobs=2,
        reasoning=Reasoning("low"), user="u", presence_penalty=0.1, frequency_penalty=0.1,
    )  # fmt: skip
    body = json.loads(dialect().build(wish, stream=False).request.read())
    TypeAdapter(CompletionCreateParamsNonStreaming).validate_python(body)
    assert [message["role"] for message in body["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
    ]


def test_beside_tools_a_vendor_without_schemas_is_asked_for_any_json_where_that_is_allowed() -> None:
    wish = Request(
        model="m", messages=[Message("user", "x")], output=JsonOutput({"type": "object"}), tools=[Tool("f")]
    )
    options = {"json_schema": False}
    with pytest.raises(Unsupported, match="a JSON schema"):
        dialect(options=options).build(wish, stream=False)
    built = dialect(options=options, lenient=True).build(wish, stream=False)
    assert built.dropped == ("a JSON schema for the answer",)
    assert json.loads(built.request.read())["response_format"] == {"type": "json_object"}
    plain = Request(model="m", messages=[Message("user", "x")], output=JsonOutput())
    assert dialect(options=options).build(plain, stream=False).dropped == ()


def test_a_seed_goes_by_the_name_that_the_vendor_has_for_it() -> None:
    wish = Request(model="m", messages=[Message("user", "x")], seed=7)
    built = dialect(options={"seed_field": "random_seed"}).build(wish, stream=False)
    body = json.loads(built.request.read())
    assert (body["random_seed"], "seed" in body) == (7, False)


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"code": "context_length_exceeded"}, FaultClass.CONTEXT_LENGTH),
        (400, {"code": "content_filter"}, FaultClass.REFUSED),
        (400, {"message": "no"}, FaultClass.BAD_REQUEST),
        (401, {"message": "no"}, FaultClass.AUTH),
        (404, {"code": "model_not_found"}, FaultClass.NO_MODEL),
        (429, {"type": "insufficient_quota"}, FaultClass.QUOTA_EXHAUSTED),
        (429, {"code": "rate_limit_exceeded", "message": "Request too large for m"}, FaultClass.TOO_LARGE),
        (429, {"code": "rate_limit_exceeded"}, FaultClass.RATE_LIMITED),
        (503, {"code": "slow_down"}, FaultClass.RAMP_LIMITED),
        (503, {"message": "x"}, FaultClass.OVERLOADED),
        (500, {"message": "x"}, FaultClass.SERVER_ERROR),
    ],
)
def test_refusals_are_recognised(status: int, error: dict[str, str], kind: FaultClass) -> None:
    assert dialect().fault(Answer(status, {}, json.dumps({"error": error}).encode())).kind is kind


@given(status=st.integers(300, 599), body=st.binary(max_size=100))
def test_any_refusal_gets_some_class(status: int, body: bytes) -> None:
    assert dialect().fault(Answer(status, {}, body)).message


# --- to the client ------------------------------------------------------------------------------

FOREIGN: list[Event] = [
    Opened("x", "claude"),
    ThinkingDelta("hm", signature="s", format="messages"),
    TextDelta("Grü\n"),
    TextDelta("ße"),
    ToolCallDelta(0, "a", "f", ""),
    ToolCallDelta(0, arguments='{"x": 1}'),
    RefusalDelta("no"),
    Finished("pause", vendor_reason="pause_turn"),
    UsageReported(Usage(input_tokens=5, output_tokens=7, cache_read_tokens=2)),
]


def test_clients_of_the_format_understand_what_they_are_sent() -> None:
    writer = stream.Writer(id="i", model="m", created=1, include_usage=True)
    sent = b"".join([writer.write(event) for event in FOREIGN]) + writer.close()
    payloads = [block.removeprefix(b"data: ") for block in sent.split(b"\n\n") if block]
    assert payloads[-1] == b"[DONE]"
    chunks = [ChatCompletionChunk.model_validate_json(payload, strict=True) for payload in payloads[:-1]]
    assert "".join(each.choices[0].delta.content or "" for each in chunks if each.choices) == "Grü\nße"
    assert [each.choices[0].delta.role for each in chunks if each.choices][:2] == ["assistant", None]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 12
    completion = assembled(FOREIGN)
    whole = ChatCompletion.model_validate(reply.write(completion, id="i", model="m", created=1), strict=True)
    assert whole.choices[0].message.content == "Grü\nße"
    assert whole.choices[0].message.tool_calls is not None


def test_what_is_written_is_read_back_the_same() -> None:
    writer = stream.Writer(id="i", model="m", created=1, include_usage=True)
    sent = b"".join([writer.write(event) for event in decode(STREAM)]) + writer.close()
    again = assembled(decode(sent))
    assert again.choices == assembled(decode(STREAM)).choices
    assert again.usage == assembled(decode(STREAM)).usage


def test_an_error_is_the_last_thing_a_client_hears() -> None:
    sent = stream.Writer.error({"error": {"message": "broken"}})
    assert sent == b'data: {"error":{"message":"broken"}}\n\n'

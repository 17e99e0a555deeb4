"""The dialect `anthropic`: recordings against their oracle, requests against the SDK's own types, cuts and errors."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime.assembly import Assembler
from llm_dispatcher.runtime.canon import (
    Completion,
    Event,
    Failed,
    Image,
    JsonOutput,
    Message,
    Opaque,
    Reasoning,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
    UsageReported,
)
from llm_dispatcher.runtime.dialects import Answer, Target, Unsupported, VendorFault
from llm_dispatcher.runtime.dialects.anthropic import Anthropic
from llm_dispatcher.runtime.dialects.formats.messages import reply
from pydantic import TypeAdapter

from tests.corpus import Recording, folder, needs_corpus
from tests.corpus.compare import found_in
from tests.corpus.oracle_messages import expected, expected_fault
from tests.fuzz.guard import held


def dialect(**more: Any) -> Anthropic:
    target: dict[str, Any] = {
        "vendor": "a",
        "base_url": "https://a.example/v1",
        "model": "claude",
        "key": "k",
        **more,
    }
    return Anthropic(Target(**target))


def body_of(request: Request, **more: Any) -> Any:
    sent = dialect(**more).build(request, stream=False).request
    return json.loads(sent.read())


def decode(*pieces: bytes) -> list[Event]:
    decoder = dialect().decoder()
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()


def assembled(events: list[Event]) -> Completion:
    assembler = Assembler()
    for event in events:
        assembler.add(event)
    return assembler.completion("messages")


def streamed(recording: Recording) -> bool:
    return not recording.refused and not recording.body.lstrip().startswith(b"{")


@needs_corpus
@pytest.mark.parametrize("name", ["anthropic-messages", "vertex-messages"])
def test_every_recorded_answer_is_read_as_it_was_meant(name: str) -> None:
    for recording in folder(name):
        if recording.refused:
            answer = Answer(recording.status, recording.headers, recording.body)
            assert dialect().fault(answer).kind is expected_fault(recording), recording.name
        elif streamed(recording):
            want, events = expected(recording), decode(recording.body)
            assert isinstance(events[-1], Failed) is not want.complete, recording.name
            if want.complete:
                assert found_in(assembled(events), want) == want, recording.name
        else:
            want = expected(recording)
            assert found_in(dialect().completion(recording.body), want) == want, recording.name


@needs_corpus
def test_the_same_stream_cut_to_single_bytes_gives_the_same_events() -> None:
    for recording in [each for each in folder("anthropic-messages") if streamed(each)][:8]:
        whole: bytes = recording.body
        pieces = [whole[index : index + 1] for index in range(len(whole))]
        assert decode(*pieces) == decode(recording.body)


EVENTS: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "m", "model": "c", "usage": {"input_tokens": 3, "cache_read_input_tokens": 4}}},
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "sig"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Grüße"}},
    {"type": "content_block_stop", "index": 1},
    {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}},
    {"type": "content_block_stop", "index": 2},
    {"type": "content_block_start", "index": 3, "content_block": {"type": "server_tool_use", "id": "s", "name": "web", "input": {}}},
    {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": '{"q": 1}'}},
    {"type": "content_block_stop", "index": 3},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"},
    ]  # fmt: skip
STREAM = b"".join(
    f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode() for event in EVENTS
)


def test_a_stream_holds_thinking_text_calls_and_what_only_anthropic_knows() -> None:
    completion = assembled(decode(STREAM))
    [choice] = completion.choices
    assert choice.parts == [
        Thinking("hm", "sig", format="messages"),
        Text("Grüße"),
        ToolCall("t", "f", "{}"),
        Opaque("messages", {"type": "server_tool_use", "id": "s", "name": "web", "input": {"q": 1}}),
    ]
    assert choice.finish == "tool_calls"
    assert completion.usage is not None
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (7, 9)


@given(cuts=st.sets(st.integers(1, len(STREAM) - 1), max_size=12))
def test_where_the_network_cuts_makes_no_difference(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert decode(*(STREAM[a:b] for a, b in pairwise(edges))) == decode(STREAM)


@given(end=st.integers(0, len(STREAM) - len(b'data: {"type": "message_stop"}\n\n')))
def test_a_stream_that_ends_early_is_never_complete(end: int) -> None:
    last = decode(STREAM[:end])[-1]
    assert isinstance(last, Failed)
    assert last.fault.kind is FaultClass.TRUNCATED


@given(junk=st.binary(max_size=200))
def test_junk_never_raises_and_is_never_complete(junk: bytes) -> None:
    assert isinstance(decode(junk)[-1], Failed)
    with pytest.raises(VendorFault):
        dialect().completion(junk)


def test_an_error_within_a_stream_is_its_end() -> None:
    error = (
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    )
    [failed] = decode(error, STREAM)
    assert isinstance(failed, Failed)
    assert failed.fault.kind is FaultClass.OVERLOADED


TOOL = Tool("f", "does", {"type": "object", "properties": {"x": {"type": "integer"}}})
USER = Message("user", "hi")

REQUESTS = {
    "plain": Request(model="m", messages=[USER]),
    "turns": Request(model="m", messages=[Message("system", "be brief"), USER, Message("assistant", "yes"), USER]),
    "sampling": Request(model="m", messages=[USER], temperature=0.5, top_p=0.9, top_k=5, stop=["x"], max_tokens=9, user="u"),
    "tools": Request(
        model="m",
        messages=[
            USER,
            Message("assistant", [Text("look"), ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "f", "{}")]),
            Message("tool", [ToolResult("a", "one")]),
            Message("tool", [ToolResult("b", [Text("two"), Image(url="https://e.org/i.png")], is_error=True)]),
            Message("user", "go on"),
        ],
        tools=[TOOL],
        tool_choice=ToolChoice("named", "f"),
        parallel_tool_calls=False,
    ),
    "images": Request(
        model="m", messages=[Message("user", [Image(data="aGk=", media_type="image/png"), Image(url="https://e.org/i.jpg")])]
    ),
    "schema": Request(model="m", messages=[USER], output=JsonOutput({"type": "object", "properties": {}})),
    "budget": Request(model="m", messages=[USER], max_tokens=4000, reasoning=Reasoning(budget_tokens=2000)),
    "effort": Request(model="m", messages=[USER], reasoning=Reasoning("high")),
    "thoughts": Request(
        model="m", messages=[USER, Message("assistant", [Thinking("hm", "sig", format="messages"), Text("yes")]), USER]
    ),
}  # fmt: skip


def event(kind: str, **fields: Any) -> bytes:
    return b"data: " + json.dumps({"type": kind, **fields}).encode() + b"\n\n"


@pytest.mark.parametrize("depth", [129, 950, 990, 100_000])
def test_an_answer_that_is_nested_too_deeply_is_malformed(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    with pytest.raises(VendorFault) as caught:
        dialect().completion(b'{"content":[{"type":"tool_use","input":%b}]}' % deep)
    assert caught.value.fault.kind is FaultClass.MALFORMED
    start = event("content_block_start", index=0, content_block={"type": "server_tool_use"})
    piece = event(
        "content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": deep.decode()}
    )
    last = decode(start, piece, event("content_block_stop", index=0))[-1]
    assert isinstance(last, Failed)


@pytest.mark.parametrize("count", [-1, 10**30, True, "5"])
def test_what_is_no_number_of_tokens_counts_as_none(count: Any) -> None:
    body = {"content": [], "usage": {"input_tokens": count, "output_tokens": 7}}
    assert dialect().completion(json.dumps(body).encode()).usage == Usage(output_tokens=7)


def test_a_seal_that_is_no_text_is_none() -> None:
    body = {"content": [{"type": "thinking", "thinking": "hm", "signature": {"a": 1}}]}
    assert dialect().completion(json.dumps(body).encode()).choices[0].parts == [
        Thinking("hm", format="messages")
    ]


def test_usage_that_is_no_object_is_none() -> None:
    assert not any(isinstance(each, UsageReported) for each in decode(event("message_delta", usage=[1])))


@pytest.mark.parametrize(
    "block",
    [{"type": ["x"]}, {"type": "message_delta", "delta": 5}, {"type": "message_delta", "usage": [1]}, {"type": "content_block_start", "content_block": 5}],
)  # fmt: skip
def test_a_block_that_poses_as_an_event_is_handed_on_like_any_other(block: dict[str, Any]) -> None:
    completion = dialect().completion(json.dumps({"content": [block]}).encode())
    assert json.loads(msgspec.json.encode(reply.write(completion, id="i", model="m")))["type"] == "message"


@pytest.mark.slow
def test_blocks_of_the_vendors_own_that_are_never_closed_end_the_stream() -> None:
    decoder = dialect().decoder()
    fed = 0
    while not decoder.finished and fed < 200_000:
        decoder.feed(event("content_block_start", index=fed, content_block={"type": "x"}))
        fed += 1
    assert fed < 200_000
    assert held(decoder) < 2**20


def test_arguments_nested_too_deeply_are_no_json_object() -> None:
    call = Message("assistant", [ToolCall("a", "f", '{"a":' * 990 + "1" + "}" * 990)])
    with pytest.raises(Unsupported):
        dialect().build(Request(model="m", messages=[USER, call]), stream=False)


@pytest.mark.parametrize("name", REQUESTS)
def test_what_is_sent_has_the_sdks_own_type(name: str) -> None:
    TypeAdapter(MessageCreateParamsNonStreaming).validate_python(body_of(REQUESTS[name]))


def test_results_of_parallel_calls_share_a_turn_and_stand_first() -> None:
    turns = body_of(REQUESTS["tools"])["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert [block["type"] for block in turns[2]["content"]] == ["tool_result", "tool_result", "text"]


def test_a_bound_is_always_sent() -> None:
    assert body_of(REQUESTS["plain"])["max_tokens"] == 4096
    assert body_of(REQUESTS["plain"], options={"default_max_tokens": 7})["max_tokens"] == 7


def test_foreign_seals_are_left_out_and_ones_own_sent() -> None:
    foreign = Message("assistant", [Thinking("hm", "sig", format="generate_content"), Text("yes")])
    assert "sig" not in json.dumps(body_of(Request(model="m", messages=[USER, foreign, USER])))
    assert "sig" in json.dumps(body_of(REQUESTS["thoughts"]))


@pytest.mark.parametrize(
    ("wish", "feature"),
    [
        ({"seed": 1}, "seed"),
        ({"temperature": 1.5}, "temperature above 1"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"output": JsonOutput(), "tools": [Tool("f")]}, "JSON without a schema, beside tools or reasoning"),
        ({"extra": {"chat_completions": {"logit_bias": {"1": 2}}}}, "chat_completions.logit_bias"),
        ({"messages": [USER, Message("system", "late")]}, "a system message within the conversation"),
        ({"messages": [Message("assistant", [ToolCall("a", "f", "{oops")])]}, "arguments of 'f' that are not a JSON object"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_refused_or_dropped_by_name(wish: dict[str, Any], feature: str) -> None:
    request = Request(**{"model": "m", "messages": [USER], **wish})
    with pytest.raises(Unsupported) as caught:
        dialect().build(request, stream=False)
    assert caught.value.feature == feature
    assert dialect(lenient=True).build(request, stream=False).dropped == (feature,)


def test_the_door_has_the_headers_that_anthropic_wants() -> None:
    built = dialect(options={"betas": ["x"]}, headers={"anthropic-version": "later"}).build(
        Request(model="m", messages=[USER], extra={"messages": {"betas": ["y"]}}), stream=True
    )
    headers = built.request.headers
    assert str(built.request.url) == "https://a.example/v1/messages"
    assert (headers["x-api-key"], headers["anthropic-version"], headers["anthropic-beta"]) == (
        "k",
        "later",
        "x,y",
    )
    with pytest.raises(ValueError, match="default_max_tokens"):
        dialect(options={"max": 1})


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}', FaultClass.QUOTA_EXHAUSTED),
        (429, b'{"error":{"type":"rate_limit_error","message":"acceleration limit"}}', FaultClass.RAMP_LIMITED),
        (402, b'{"error":{"type":"billing_error","message":"pay"}}', FaultClass.QUOTA_EXHAUSTED),
        (413, b"<html><title>413 Request Entity Too Large</title></html>", FaultClass.TOO_LARGE),
        (503, b"upstream connect error or disconnect/reset before headers", FaultClass.OVERLOADED),
        (418, b"", FaultClass.BAD_REQUEST),
    ],
)  # fmt: skip
def test_refusals_are_recognised_whatever_their_shape(status: int, body: bytes, kind: FaultClass) -> None:
    assert dialect().fault(Answer(status, {}, body)).kind is kind

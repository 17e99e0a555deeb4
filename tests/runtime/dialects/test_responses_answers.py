"""Answers of the responses format: read into the canon and written for a client, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import httpx
import msgspec
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime.assembly import Assembler
from llm_dispatcher.runtime.canon import (
    Choice,
    Completion,
    Event,
    Failed,
    Finished,
    OpaqueDelta,
    Opened,
    Refusal,
    RefusalDelta,
    Restarted,
    Seam,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageReported,
)
from llm_dispatcher.runtime.dialects import VendorFault
from llm_dispatcher.runtime.dialects.formats.responses import reply
from llm_dispatcher.runtime.dialects.formats.responses.envelope import asked_in
from llm_dispatcher.runtime.dialects.formats.responses.stream import Reader, Writer

from tests.corpus import Recording, needs_corpus, recordings
from tests.corpus.oracle_responses import FOLDERS, expected
from tests.corpus.response_stream import accumulated, events_in, final, plain, unsealed

ASKED = asked_in({})
LATE = "mcp-list-tools-stream-backfills"
"""A stream whose first items are only whole in its last event."""


def streams() -> list[Recording]:
    """The recorded streams that their vendor ended."""
    found = [each for each in recordings(*FOLDERS) if each.stream and not each.refused]
    return [each for each in found if expected(each).complete]


def wholes() -> list[Recording]:
    found = [each for each in recordings(*FOLDERS) if not each.stream and not each.refused]
    return [each for each in found if expected(each).complete]


def decode(*pieces: bytes) -> list[Event]:
    reader = Reader()
    return [event for piece in pieces for event in reader.feed(piece)] + reader.close()


def written(events: Iterable[Event], *, own: bool = True) -> bytes:
    writer = Writer(ASKED, id="resp_ours", model="ours", created=7, own=own)
    return b"".join([writer.write(event) for event in events]) + writer.close()


def told(completion: Completion) -> dict[str, Any]:
    return reply.write(completion, ASKED, id="resp_ours", model="ours", created=7)


def assembled(events: Iterable[Event], format: str = "responses") -> Completion:
    assembler = Assembler()
    for event in events:
        assembler.add(event)
    return assembler.completion(format)


def without_seals(completion: Completion) -> Completion:
    """Vendors seal thoughts anew when they repeat an answer."""
    [choice] = completion.choices
    parts = [
        msgspec.structs.replace(part, signature="sealed" if part.signature else None)
        if isinstance(part, Thinking)
        else part
        for part in choice.parts
    ]
    return msgspec.structs.replace(completion, choices=[msgspec.structs.replace(choice, parts=parts)])


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def whole(*output: dict[str, Any], status: str = "completed", **more: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "created_at": 3, "model": "m", "status": status, "output": [*output], **more}  # fmt: skip


def read(*output: dict[str, Any], **more: Any) -> Completion:
    return reply.read(json.dumps(whole(*output, **more)).encode())


def message(*texts: str, **fields: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content, **fields}  # fmt: skip


CREATED: dict[str, Any] = {"type": "response.created", "response": whole(status="in_progress")}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": '{"x":1}', "status": "completed"}  # fmt: skip


def delta(index: int, text: str, kind: str = "output_text", part: int = 0) -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "output_index": index, "content_index": part, "delta": text}


def ended(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "response.completed", "response": whole(*output, **more)}


# --- recordings ---------------------------------------------------------------------------------


@needs_corpus
def test_a_client_is_told_of_a_recorded_stream_all_that_its_vendor_told() -> None:
    tried = streams()
    for recording in tried:
        through, want = plain(accumulated(written(decode(recording.body)))), plain(final(recording.body))
        if LATE in recording.name:
            through["output"].sort(key=str)
            want["output"].sort(key=str)
        assert unsealed(through) == unsealed(want), recording.name
    assert len(tried) > 70


@needs_corpus
def test_a_client_is_told_of_a_recorded_answer_all_that_its_vendor_told() -> None:
    tried = wholes()
    for recording in tried:
        through = told(reply.read(recording.body))
        assert plain(through) == plain(json.loads(recording.body)), recording.name
    assert len(tried) > 100


@needs_corpus
def test_a_recorded_answer_in_place_of_a_stream_tells_the_same() -> None:
    for recording in wholes():
        through = accumulated(written(decode(recording.body)))
        assert plain(through) == plain(json.loads(recording.body)), recording.name


@needs_corpus
def test_a_recorded_stream_adds_up_to_the_answer_that_it_ends_with() -> None:
    for recording in streams():
        answer = final(recording.body)
        if LATE in recording.name:
            continue
        found, want = assembled(decode(recording.body)), reply.read(json.dumps(answer).encode())
        assert without_seals(found) == without_seals(want), recording.name


@pytest.mark.slow
@needs_corpus
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_where_the_network_cuts_a_recorded_stream_makes_no_difference(data: st.DataObject) -> None:
    body = data.draw(st.sampled_from([each.body for each in streams()]))
    cuts = data.draw(st.sets(st.integers(1, len(body) - 1), max_size=8))
    edges = [0, *sorted(cuts), len(body)]
    assert decode(*(body[a:b] for a, b in pairwise(edges))) == decode(body)


@pytest.mark.slow
@needs_corpus
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_recorded_stream_that_is_cut_short_is_never_complete(data: st.DataObject) -> None:
    body = data.draw(st.sampled_from([each.body for each in streams()]))
    marks = [body.rfind(b'"type":"response.%b"' % word) for word in (b"completed", b"incomplete")]
    marks += [body.rfind(b'"type": "response.%b"' % word) for word in (b"completed", b"incomplete")]
    end = body.rfind(b"data:", 0, max(marks))
    [*before, last] = decode(body[: data.draw(st.integers(0, end))])
    assert isinstance(last, Failed)
    assert last.fault.kind is FaultClass.TRUNCATED
    assert decode(body)[: len(before)] == before


# --- there and back -----------------------------------------------------------------------------

WORDS = st.text(min_size=1, max_size=6)
FIELDS = st.sampled_from([{}, {"phase": "commentary"}])


def texts(**kinds: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just("output_text"), "text": WORDS, **kinds})


CITED = st.lists(st.fixed_dictionaries({"type": st.just("url_citation"), "n": st.integers()}), min_size=1)
PROBABILITIES = st.lists(st.fixed_dictionaries({"token": WORDS}), min_size=1, max_size=2)
CONTENT = st.lists(
    texts()
    | texts(annotations=CITED)
    | texts(logprobs=PROBABILITIES)
    | st.fixed_dictionaries({"type": st.just("refusal"), "refusal": WORDS}),
    min_size=1,
    max_size=3,
)
MESSAGES = st.builds(lambda content, more: {"type": "message", "role": "assistant", "content": content, **more}, CONTENT, FIELDS)  # fmt: skip
SUMMARIES = st.lists(st.builds(lambda text: {"type": "summary_text", "text": text}, WORDS), max_size=3)
THOUGHTS = st.lists(st.builds(lambda text: {"type": "reasoning_text", "text": text}, WORDS), max_size=2)


@st.composite
def outputs(draw: st.DrawFn) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(["message", "reasoning", "call", "opaque"]))
        if kind == "message":
            items.append(draw(MESSAGES))
        elif kind == "reasoning":
            seal = draw(st.sampled_from([{}, {"encrypted_content": f"s{number}"}, {"encrypted_content": "s", "format": "f"}]))  # fmt: skip
            items.append({"type": "reasoning", "summary": draw(SUMMARIES), "content": draw(THOUGHTS), **seal})
        elif kind == "call":
            more = draw(st.sampled_from([{}, {"namespace": "n"}]))
            items.append({**CALL, "call_id": f"call_{number}", **more})
        else:
            items.append({"type": "web_search_call", "id": f"ws_{number}", "action": {"query": draw(WORDS)}})
    return items


@st.composite
def responses(draw: st.DrawFn) -> dict[str, Any]:
    more: dict[str, Any] = {"usage": {"input_tokens": draw(st.integers(0, 9)), "output_tokens": 4}}
    if draw(st.booleans()):
        more |= {"status": "incomplete", "incomplete_details": {"reason": draw(st.sampled_from(["max_output_tokens", "content_filter", "something_new"]))}}  # fmt: skip
    if draw(st.booleans()):
        more |= {"service_tier": "flex", "content_filters": [{"blocked": False}]}
    return whole(*draw(outputs()), **more)


@pytest.mark.slow
@given(response=responses())
def test_an_answer_is_the_same_after_it_was_read_and_written(response: dict[str, Any]) -> None:
    answer = reply.read(json.dumps(response).encode())
    again = told(answer)
    assert again["service_tier"] == response.get("service_tier")
    assert plain(again)["output"] == plain(response)["output"]
    assert (again["status"], again["incomplete_details"]) == (response["status"], response.get("incomplete_details"))  # fmt: skip
    assert again.get("content_filters") == response.get("content_filters")
    assert reply.read(json.dumps(again).encode()) == answer


@pytest.mark.slow
@given(response=responses())
def test_an_answer_is_the_same_streamed_and_whole(response: dict[str, Any]) -> None:
    body = json.dumps(response).encode()
    stream = written(decode(body))
    assert plain(accumulated(stream)) == plain(told(reply.read(body)))
    assert assembled(decode(stream)).choices == reply.read(body).choices


@st.composite
def foreign_events(draw: st.DrawFn) -> list[Event]:
    """What a vendor of another format may say, calls interleaved as it likes."""
    events: list[Event] = [Opened("c1", "theirs")]
    left: dict[int, str] = {}
    count = 0
    for _ in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(["text", "thinking", "refusal", "call", "more", "opaque", "usage"]))
        if kind == "text":
            events.append(TextDelta(draw(st.text(max_size=3))))
        elif kind == "thinking":
            seal = draw(st.sampled_from([None, "s"]))
            events.append(
                ThinkingDelta(draw(st.text(max_size=3)), signature=seal, format="messages" if seal else None)
            )
        elif kind == "refusal":
            events.append(RefusalDelta(draw(WORDS)))
        elif kind == "opaque":
            events.append(OpaqueDelta("chat_completions", {"delta": {}}))
        elif kind == "usage":
            events.append(UsageReported(Usage(3, 4)))
        elif kind == "call":
            text = draw(st.sampled_from(["", "{}", '{"a": [1, {"b": "c"}]}']))
            cut = draw(st.integers(0, len(text)))
            events.append(ToolCallDelta(count, f"id{count}", "f", text[:cut]))
            left[count] = text[cut:]
            count += 1
        elif left:
            number = draw(st.sampled_from(sorted(left)))
            cut = draw(st.integers(0, len(left[number])))
            events.append(ToolCallDelta(number, arguments=left[number][:cut]))
            left[number] = left[number][cut:]
    events += [ToolCallDelta(number, arguments=rest) for number, rest in left.items() if rest]
    return [*events, Finished("stop", vendor_reason="stop"), UsageReported(Usage(7, 9))]


@pytest.mark.slow
@given(events=foreign_events())
def test_whatever_another_vendor_streams_is_a_proper_stream_here(events: list[Event]) -> None:
    response = accumulated(written(events, own=False))
    answer = assembled(events, "chat_completions").choices[0]
    said = [part.text for part in answer.parts if isinstance(part, Text | Refusal)]
    content = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    assert "".join(part.get("text") or part.get("refusal") or "" for part in content) == "".join(said)
    thoughts = [part for item in response["output"] if item["type"] == "reasoning" for part in item["summary"]]  # fmt: skip
    assert "".join(part["text"] for part in thoughts) == answer.thinking
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    assert [(call["call_id"], json.loads(call["arguments"])) for call in calls] == [
        (call.id, json.loads(call.arguments or "{}")) for call in answer.tool_calls
    ]
    assert (response["id"], response["model"]) == ("resp_ours", "theirs")
    assert (response["usage"]["input_tokens"], response["usage"]["output_tokens"]) == (7, 9)


# --- what is read how ---------------------------------------------------------------------------


def test_items_become_parts_with_what_they_say_besides_their_words() -> None:
    thought = {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}], "encrypted_content": "sealed"}  # fmt: skip
    search = {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"query": "q"}}
    answer = read(thought, search, message("a", phase="commentary"), message("b"), {**CALL, "namespace": "n"})
    first, opaque, a, b, call = answer.choices[0].parts
    assert first == Thinking(
        "one\n\ntwo",
        "sealed",
        format="responses",
        extra={"responses": {"parts": [[0, "summary_text"], [5, "summary_text"]]}},
    )
    assert getattr(opaque, "payload", None) == search
    assert a == Text("a", extra={"responses": {"item": {"phase": "commentary"}}})
    assert b == Text("b", extra={"responses": {"item": {}}})
    assert call == ToolCall("call_1", "f", '{"x":1}', extra={"responses": {"namespace": "n"}})
    assert (answer.choices[0].finish, answer.choices[0].vendor_finish) == ("tool_calls", "completed")


def test_what_only_the_last_event_tells_is_told_then() -> None:
    late = {"type": "mcp_list_tools", "id": "l", "tools": [1]}
    body = sse(
        CREATED,
        {"type": "response.output_item.added", "output_index": 0, "item": {**late, "tools": []}},
        delta(1, "hi"),
        ended(late, message("hi"), CALL),
    )
    parts = assembled(decode(body)).choices[0].parts
    assert [type(part).__name__ for part in parts] == ["Text", "Opaque", "ToolCall"]


def test_a_seal_that_comes_after_the_answer_began_belongs_to_its_thought() -> None:
    thought = {"type": "reasoning", "id": "rs", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}], "encrypted_content": "sealed"}  # fmt: skip
    body = sse(
        CREATED,
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs"}},
        delta(0, "hm", "reasoning_text"),
        delta(1, "4"),
        {"type": "response.output_item.done", "output_index": 1, "item": message("4")},
        {"type": "response.output_item.done", "output_index": 0, "item": thought},
        ended(thought, message("4")),
    )
    first, text = assembled(decode(body)).choices[0].parts
    assert isinstance(first, Thinking)
    assert (first.text, first.signature, text) == ("hm", "sealed", Text("4"))
    reasoning, said = accumulated(written(decode(body)))["output"]
    assert (reasoning["encrypted_content"], reasoning["content"][0]["text"]) == ("sealed", "hm")
    assert said["content"][0]["text"] == "4"


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ({"type": "error", "error": {"type": "server_error", "message": "no"}}, FaultClass.SERVER_ERROR),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "slow"}, FaultClass.RATE_LIMITED),
        ({"error": {"code": 502, "message": "upstream"}}, FaultClass.SERVER_ERROR),
        (
            {"type": "response.failed", "response": whole(status="failed", error={"code": "server_error", "message": "no"})},
            FaultClass.SERVER_ERROR,
        ),
        ({"type": "response.failed", "response": whole(status="failed")}, FaultClass.IN_STREAM_ERROR),
        ({"type": "response.cancelled", "response": whole(status="cancelled")}, FaultClass.MALFORMED),
        ({"type": "response.completed", "response": 7}, FaultClass.MALFORMED),
        (
            {"type": "response.function_call_arguments.delta", "output_index": 9, "delta": "{"},
            FaultClass.MALFORMED,
        ),
    ],
)  # fmt: skip
def test_an_error_in_a_stream_ends_it_and_is_what_it_says(last: dict[str, Any], kind: FaultClass) -> None:
    after = {
        "type": "response.failed",
        "response": whole(status="failed", error={"code": "x", "message": "x"}),
    }
    *before, failed = decode(sse(CREATED, delta(0, "a"), last, after))
    assert isinstance(failed, Failed)
    assert failed.fault.kind is kind
    assert before == [Opened("resp_1", "m", 3), TextDelta("a")]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", FaultClass.TRUNCATED),
        (sse(CREATED, delta(0, "a")) + b"data: [DONE]\n\n", FaultClass.TRUNCATED),
        (b"<html>", FaultClass.MALFORMED),
        (b"data: {oops\n\n", FaultClass.MALFORMED),
        (b'{"id": "resp', FaultClass.TRUNCATED),
        (b'{"error": {"message": "no", "type": "server_error"}}', FaultClass.SERVER_ERROR),
        (b'{"status": "queued", "output": []}', FaultClass.MALFORMED),
    ],
)
def test_a_stream_without_its_end_is_no_answer(body: bytes, kind: FaultClass) -> None:
    last = decode(body)[-1]
    assert isinstance(last, Failed)
    assert last.fault.kind is kind


def test_an_event_larger_than_the_bound_ends_the_stream() -> None:
    reader = Reader(100)
    [failed] = reader.feed(sse(delta(0, "x" * 200)))
    assert isinstance(failed, Failed)
    assert failed.fault.kind is FaultClass.OVERSIZED
    assert reader.finished


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"[]", FaultClass.MALFORMED),
        (b"{", FaultClass.MALFORMED),
        (b"{}", FaultClass.MALFORMED),
        (json.dumps(whole(status="in_progress")).encode(), FaultClass.MALFORMED),
        (
            json.dumps(whole(status="failed", error={"code": "server_error"})).encode(),
            FaultClass.SERVER_ERROR,
        ),
    ],
)
def test_what_is_no_whole_answer_is_a_fault(body: bytes, kind: FaultClass) -> None:
    with pytest.raises(VendorFault) as caught:
        reply.read(body)
    assert caught.value.fault.kind is kind


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["type", "text", "content", "id", "summary", "name"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
KINDS = st.sampled_from(
    [
        "response.output_item.added", "response.output_item.done", "response.output_text.delta", "response.content_part.done",
        "response.reasoning_text.delta", "response.reasoning_summary_text.delta", "response.function_call_arguments.delta",
        "response.completed", "response.created", "error", "new",
    ]
)  # fmt: skip
ITEMS = JSON | st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "reasoning", "function_call", "x"])},
    optional={
        "content": JSON,
        "summary": JSON,
        "arguments": JSON,
        "call_id": JSON,
        "encrypted_content": JSON,
    },
)


@pytest.mark.slow
@given(
    events=st.lists(
        st.fixed_dictionaries(
            {"type": KINDS},
            optional={
                "output_index": st.integers(0, 2), "content_index": st.integers(0, 2), "delta": JSON, "item": ITEMS,
                "part": ITEMS, "response": JSON | st.builds(lambda items: {"output": items}, st.lists(ITEMS)),
                "logprobs": JSON,
            },
        ),
        max_size=6,
    )
)  # fmt: skip
def test_whatever_a_vendor_streams_nothing_is_raised_and_a_client_can_be_told(
    events: list[dict[str, Any]],
) -> None:
    writer = Writer(ASKED, id="resp_ours", model="ours", created=7, own=True)
    for event in decode(sse(*events)):
        writer.write(event)
    assert writer.close()


# --- what is told how ---------------------------------------------------------------------------


def test_the_sequence_is_openais_own() -> None:
    events: list[Event] = [
        Opened("c1", "theirs"),
        ThinkingDelta("hm"),
        TextDelta("Look"),
        TextDelta("ing"),
        ToolCallDelta(0, "a", "f", '{"x":'),
        ToolCallDelta(0, arguments="1}"),
        Finished("tool_calls", vendor_reason="tool_calls"),
        UsageReported(Usage(5, 6)),
    ]
    stream = written(events, own=False)
    sequence = [event["type"].removeprefix("response.") for event in events_in(stream)]
    assert sequence == [
        "created", "in_progress",
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
        "function_call_arguments.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    response = accumulated(stream)
    assert [item["id"] for item in response["output"]] == ["rs_ours_0", "msg_ours_1", "fc_ours_2"]
    assert (response["store"], response["background"], response["created_at"]) == (False, False, 7)


@pytest.mark.parametrize(
    ("finished", "status", "details"),
    [
        (Finished("stop"), "completed", None),
        (Finished("pause"), "completed", None),
        (Finished("other", vendor_reason="odd"), "completed", None),
        (Finished("length"), "incomplete", {"reason": "max_output_tokens"}),
        (Finished("content_filter"), "incomplete", {"reason": "content_filter"}),
        (Finished("error"), "incomplete", {"reason": "error"}),
    ],
)
def test_an_end_of_any_format_has_a_word_here(finished: Finished, status: str, details: Any) -> None:
    response = accumulated(written([Opened(), TextDelta("x"), finished], own=False))
    assert (response["status"], response["incomplete_details"]) == (status, details)
    assert response["output"][0]["status"] == status
    choice = Choice(parts=[Text("x")], finish=finished.reason, vendor_finish=finished.vendor_reason)
    answer = told(Completion(choices=[choice], format="chat_completions"))
    assert (answer["status"], answer["incomplete_details"]) == (status, details)
    assert answer["output"][0]["status"] == status


def test_a_failure_is_an_error_and_a_failed_answer_and_no_end() -> None:
    writer = Writer(ASKED, id="resp_ours", model="ours", created=7, own=False)
    writer.write(Opened("c1", "theirs"))
    start = len(writer.write(TextDelta("half")))
    assert start
    envelope = {"error": {"message": "broke", "type": "api_error", "code": "stream_truncated", "param": None}}
    tail = writer.error(envelope).decode().split("\n\n")
    error, failed = (json.loads(chunk.split("data: ")[1]) for chunk in tail if chunk)
    assert (error["type"], error["code"], error["message"]) == ("error", "stream_truncated", "broke")
    assert error["error"] == envelope["error"]
    assert failed["type"] == "response.failed"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"] == {"code": "stream_truncated", "message": "broke"}
    assert failed["response"]["output"][0]["content"][0]["text"] == "half"
    assert failed["response"]["output"][0]["status"] == "incomplete"


def test_the_seal_of_another_format_is_told_as_one_of_this() -> None:
    thought = Thinking("hm", "seal:ed", format="messages")
    redacted = Thinking(redacted="dark", format="messages")
    answer = told(Completion(choices=[Choice(parts=[thought, redacted])], format="messages"))
    seals = [item["encrypted_content"] for item in answer["output"]]
    assert seals == ["x-dispatch:messages:signature:seal:ed", "x-dispatch:messages:redacted:dark"]
    events: list[Event] = [
        ThinkingDelta("hm", format="messages"),
        ThinkingDelta(signature="seal:ed", format="messages"),
        ThinkingDelta(redacted="dark", format="messages", block=1),
        Finished("stop"),
    ]
    streamed = accumulated(written(events, own=False))
    assert [item["encrypted_content"] for item in streamed["output"]] == seals


def test_a_takeover_is_marked_and_one_that_begins_anew_takes_everything_back() -> None:
    events: list[Event] = [
        Opened("c1", "one"),
        TextDelta("half"),
        Seam("a/one", "b/two", "two", "truncated"),
        TextDelta(" more"),
        Restarted("b/two", "c/three", "three", "truncated"),
        TextDelta("new"),
        Finished("stop"),
    ]
    stream = written(events, own=False)
    assert b": x-dispatch-seam a/one -> b/two\n\n" in stream
    told = events_in(stream)
    restart = next(number for number, event in enumerate(told) if event["type"] == "x_dispatch.restart")
    assert (told[restart]["after"], told[restart]["void"]) == ("c/three", 1)
    before = told[restart - 1]
    assert (before["type"], before["item"]["status"]) == ("response.output_item.done", "incomplete")
    assert before["item"]["content"][0]["text"] == "half more"
    output = told[-1]["response"]["output"]
    assert [(item["id"], item["content"][0]["text"]) for item in output] == [("msg_ours_1", "new")]
    assert told[-1]["response"]["model"] == "three"


def test_the_sdk_follows_a_stream_that_began_anew() -> None:
    events: list[Event] = [
        Opened("c1", "one"),
        ThinkingDelta("hm"),
        TextDelta("half"),
        ToolCallDelta(0, "a", "f", '{"x"'),
        Restarted("b/two", "c/three", "three", "truncated"),
        Opened("c2", "three"),
        TextDelta("new"),
        Finished("stop"),
    ]
    headers = {"content-type": "text/event-stream"}
    answer = httpx.Response(200, headers=headers, content=written(events, own=False))
    http: Any = httpx.Client(transport=httpx.MockTransport(lambda _: answer))
    with (
        openai.OpenAI(base_url="http://v.test", api_key="k", http_client=http) as client,
        client.responses.stream(model="m", input="hi") as stream,
    ):
        assert stream.get_final_response().output_text == "new"


def test_an_answer_without_content_is_a_whole_answer() -> None:
    response = accumulated(written([Finished("length")], own=False))
    assert (response["status"], response["output"], response["usage"]) == ("incomplete", [], None)

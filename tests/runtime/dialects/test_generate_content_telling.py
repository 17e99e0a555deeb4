"""Answers of every format as a client of Google's is told them: whole, in server-sent events and as a JSON array."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.runtime.assembly import Assembler
from llm_dispatcher.runtime.canon import (
    Choice,
    Completion,
    Event,
    Failed,
    Finished,
    Opaque,
    OpaqueDelta,
    Opened,
    Part,
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
from llm_dispatcher.runtime.dialects.formats.generate_content import FORMAT, StreamDecoder, read_completion
from llm_dispatcher.runtime.dialects.formats.generate_content import faults as errors
from llm_dispatcher.runtime.dialects.formats.generate_content.reply import write
from llm_dispatcher.runtime.dialects.formats.generate_content.telling import write_usage
from llm_dispatcher.runtime.dialects.formats.generate_content.wire import MADE_ID
from llm_dispatcher.runtime.dialects.formats.generate_content.writer import Writer

from tests.corpus import needs_corpus, recordings
from tests.corpus.oracle_generate_content import FOLDERS

NOTHING = {"content": {"parts": [{"text": ""}], "role": "model"}}
"""The content of a last chunk."""
ARRAY = pytest.mark.parametrize("array", [False, True])


def whole(*parts: Part, own: bool = False, thoughts: bool = False, **more: Any) -> dict[str, Any]:
    """The candidate that a client is told of an answer of these parts."""
    choice = Choice(parts=list(parts), finish="stop", **more)
    completion = Completion(id="theirs", model="m", choices=[choice], format=FORMAT if own else "messages")
    told = json.loads(msgspec.json.encode(write(completion, id="ours", model="m", thoughts=thoughts)))
    assert told["responseId"] == ("theirs" if own else "ours")
    [candidate] = told["candidates"]
    return dict(candidate)


def chunks(body: bytes, *, array: bool) -> list[dict[str, Any]]:
    """The objects in a stream, read with nothing of the product's."""
    if array:
        return list(json.loads(body))
    pieces = body.split(b"\r\n\r\n")
    assert pieces.pop() == b""
    return [json.loads(piece.removeprefix(b"data: ")) for piece in pieces]


def streamed(
    *events: Event, own: bool = False, thoughts: bool = False, array: bool = False
) -> list[dict[str, Any]]:
    writer = Writer(id="ours", model="m", own=own, thoughts=thoughts, array=array)
    return chunks(b"".join([*map(writer.write, events), writer.close()]), array=array)


def parts_of(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parts in all chunks, less the empty text that the last one has."""
    return [
        part
        for chunk in told
        for candidate in chunk.get("candidates", ())
        for part in candidate.get("content", {"parts": []})["parts"]
        if part != {"text": ""}
    ]


# --- Google's own answers -----------------------------------------------------------------------


@needs_corpus
def test_a_recorded_answer_is_told_as_it_was_read() -> None:
    tried = 0
    for each in recordings(*FOLDERS):
        if each.stream or each.refused:
            continue
        found = msgspec.structs.replace(read_completion(each.body, Random(7)), created=0)
        told = msgspec.json.encode(write(found, id="ours", model="m", thoughts=False))
        again = read_completion(told, Random(7))
        if not found.model:
            again = msgspec.structs.replace(again, model="")
        if not found.id:
            again = msgspec.structs.replace(again, id="")
            assert _without_ids(again) == _without_ids(found), each.name
        else:
            assert again == found, each.name
        tried += 1
    assert tried == 90


@needs_corpus
@ARRAY
def test_a_recorded_stream_is_told_as_it_was_read(array: bool) -> None:
    tried = 0
    for each in recordings(*FOLDERS):
        if not each.stream or each.refused:
            continue
        decoder = StreamDecoder(Random(7))
        events = decoder.feed(each.body) + decoder.close()
        writer = Writer(id="ours", model="m", own=True, thoughts=False, array=array)
        told = b"".join([*map(writer.write, events), writer.costs("0.5"), writer.close()])
        decoder = StreamDecoder(Random(7))
        assert _added_up(decoder.feed(told) + decoder.close()) == _added_up(events), each.name
        tried += 1
    assert tried == 66


def _without_ids(completion: Completion) -> Any:
    plain = msgspec.to_builtins(completion)
    for choice in plain["choices"]:
        for part in choice.get("parts", ()):
            part.pop("id", None)
    return plain


def _added_up(events: list[Event]) -> Any:
    """What a stream comes to: neighbouring texts joined, and what is told beside the content last."""
    assembler = Assembler()
    for event in events:
        assert not isinstance(event, Failed), event
        assembler.add(event)
    plain = msgspec.to_builtins(assembler.completion())
    plain.pop("created", None)
    plain["id"] = plain["model"] = None
    for choice in plain["choices"]:
        parts = choice.get("parts", [])
        beside = [part["payload"] for part in parts if part["type"] == "opaque"]
        choice["beside"] = {name: value for payload in beside for name, value in payload.items()}
        choice["parts"] = []
        for part in parts:
            part.pop("id", None)
            before = choice["parts"][-1] if choice["parts"] else {}
            if part["type"] == before.get("type") == "text" and "signature" not in before:
                before |= {**part, "text": before["text"] + part["text"]}
            elif part["type"] != "opaque":
                choice["parts"].append(part)
    return plain


def test_a_prompt_that_was_blocked_has_feedback_and_no_candidate() -> None:
    feedback = {"blockReason": "SAFETY", "safetyRatings": [{"category": "x"}]}
    body = {"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 3}}
    blocked = read_completion(json.dumps(body).encode(), Random(7))
    told = write(blocked, id="ours", model="m", thoughts=False)
    assert told["promptFeedback"] == feedback
    assert "candidates" not in told
    decoder = StreamDecoder(Random(7))
    events = decoder.feed(b"data: " + json.dumps(body).encode() + b"\r\n\r\n") + decoder.close()
    [last] = streamed(*events, own=True)
    assert last["promptFeedback"] == feedback
    assert "candidates" not in last


def test_what_is_told_beside_the_content_goes_with_the_next_chunk() -> None:
    told = streamed(
        Opened("theirs", "gemini"),
        TextDelta("a"),
        OpaqueDelta(FORMAT, {"groundingMetadata": {"x": 1}}, content=False),
        OpaqueDelta(FORMAT, {"modelStatus": {"y": 2}}, content=False),
        TextDelta("b"),
        OpaqueDelta(FORMAT, {"executableCode": {"code": "1"}}),
        Finished("stop", 0, "STOP"),
        own=True,
    )
    assert [part.get("text") for part in parts_of(told)] == ["a", "b", None]
    assert parts_of(told)[2] == {"executableCode": {"code": "1"}}
    assert told[1]["candidates"][0]["groundingMetadata"] == {"x": 1}
    assert told[1]["modelStatus"] == {"y": 2}
    assert "groundingMetadata" not in told[2]["candidates"][0]
    assert {chunk["responseId"] for chunk in told} == {"theirs"}
    assert {chunk["modelVersion"] for chunk in told} == {"gemini"}


def test_the_ids_that_were_made_here_are_not_told_and_those_of_vendors_are() -> None:
    made, theirs = ToolCall(f"{MADE_ID}1", "f"), ToolCall("call_1", "f")
    parts = whole(made, theirs, own=True)["content"]["parts"]
    assert parts == [
        {"functionCall": {"name": "f", "args": {}}},
        {"functionCall": {"name": "f", "args": {}, "id": "call_1"}},
    ]


# --- other vendors' answers ---------------------------------------------------------------------


def test_only_googles_own_seals_are_told() -> None:
    seals: tuple[Part, ...] = (
        Text("t", "seal"),
        ToolCall("c", "f", "{}", "seal"),
        Thinking("hm", "seal", None, FORMAT),
    )
    assert [
        part.get("thoughtSignature") for part in whole(*seals, own=True, thoughts=True)["content"]["parts"]
    ] == ["seal", "seal", "seal"]
    foreign = whole(*seals[:2], Thinking("hm", "seal", None, "messages"), thoughts=True)["content"]["parts"]
    assert [part.get("thoughtSignature") for part in foreign] == [None, None, None]
    assert foreign[2] == {"text": "hm", "thought": True}


def test_thoughts_of_other_vendors_are_told_to_who_asked_for_thoughts() -> None:
    thought = Thinking("hm", "seal", None, "messages")
    assert whole(thought, Text("t"))["content"]["parts"] == [{"text": "t"}]
    assert len(whole(thought, Text("t"), thoughts=True)["content"]["parts"]) == 2
    event = ThinkingDelta("hm", 0, "seal", None, "messages")
    assert parts_of(streamed(event, TextDelta("t"))) == [{"text": "t"}]
    assert parts_of(streamed(event, thoughts=True)) == [{"text": "hm", "thought": True}]


@pytest.mark.parametrize(
    ("finish", "word"),
    [
        ("stop", "STOP"), ("tool_calls", "STOP"), ("length", "MAX_TOKENS"), ("content_filter", "SAFETY"), ("pause", "OTHER"),
        ("error", "OTHER"), ("other", "OTHER"),
    ],
)  # fmt: skip
def test_other_vendors_reasons_are_said_in_googles_words(finish: Any, word: str) -> None:
    choice = Choice(parts=[Text("t")], finish=finish, vendor_finish="their_word")
    told = write(
        Completion(choices=[choice], format="chat_completions"), id="ours", model="m", thoughts=False
    )
    assert told["candidates"][0]["finishReason"] == word
    [*_, last] = streamed(TextDelta("t"), Finished(finish, 0, "their_word"))
    assert last["candidates"] == [{**NOTHING, "index": 0, "finishReason": word}]


def test_googles_own_reasons_are_told_to_the_letter() -> None:
    assert whole(Text("t"), own=True, vendor_finish="SOME_NEW_REASON")["finishReason"] == "SOME_NEW_REASON"


def test_a_refusal_in_words_is_text_that_ended_for_safety() -> None:
    told = whole(Refusal("I will not"))
    assert (told["content"]["parts"], told["finishReason"]) == ([{"text": "I will not"}], "SAFETY")
    events = streamed(RefusalDelta("I will"), RefusalDelta(" not"), Finished("stop"))
    assert "".join(part["text"] for part in parts_of(events)) == "I will not"
    assert events[-1]["candidates"][0]["finishReason"] == "SAFETY"


@pytest.mark.parametrize("arguments", ["{oops", "[1]", '"text"', "{}{}"])
def test_a_call_that_cannot_be_said_is_left_out_and_the_reason_says_so(arguments: str) -> None:
    told = whole(Text("t"), ToolCall("c", "f", arguments))
    assert told["content"]["parts"] == [{"text": "t"}]
    assert told["finishReason"] == "MALFORMED_FUNCTION_CALL"
    assert "'f'" in told["finishMessage"]
    events = streamed(ToolCallDelta(0, "c", "f", arguments), Finished("tool_calls"))
    assert parts_of(events) == []
    assert events[-1]["candidates"][0]["finishReason"] == "MALFORMED_FUNCTION_CALL"


def test_a_call_that_was_cut_off_ended_for_length() -> None:
    events = streamed(
        TextDelta("t"), ToolCallDelta(0, "c", "f", '{"a'), Finished("length"), UsageReported(Usage(1, 2))
    )
    assert parts_of(events) == [{"text": "t"}]
    assert events[-1]["candidates"] == [{**NOTHING, "index": 0, "finishReason": "MAX_TOKENS"}]


def test_a_call_is_told_when_something_else_begins() -> None:
    writer = Writer(id="ours", model="m", own=False, thoughts=False, array=False)
    assert writer.write(ToolCallDelta(0, "a", "f", "")) == b""
    assert writer.write(ToolCallDelta(0, arguments='{"x"')) == b""
    assert writer.write(ToolCallDelta(0, arguments=": 1}")) == b""
    told = chunks(writer.write(ToolCallDelta(1, "b", "g", "")), array=False)
    assert parts_of(told) == [{"functionCall": {"name": "f", "args": {"x": 1}, "id": "a"}}]
    # One without arguments is only known to be whole at the end.
    assert parts_of(chunks(writer.write(TextDelta("t")), array=False)) == [{"text": "t"}]
    told = chunks(writer.write(Finished("tool_calls")), array=False)
    assert parts_of(told) == [{"functionCall": {"name": "g", "args": {}, "id": "b"}}]


def test_a_call_that_came_whole_is_told_at_once() -> None:
    writer = Writer(id="ours", model="m", own=True, thoughts=False, array=False)
    assert parts_of(chunks(writer.write(ToolCallDelta(0, "a", "f", '{"x":1}')), array=False))


def test_several_candidates_end_for_reasons_of_their_own() -> None:
    [*_, last] = streamed(TextDelta("a", 0), TextDelta("b", 1), Finished("length", 1), Finished("stop", 0))
    assert last["candidates"] == [
        {**NOTHING, "index": 0, "finishReason": "STOP"},
        {**NOTHING, "index": 1, "finishReason": "MAX_TOKENS"},
    ]


@ARRAY
def test_the_last_chunk_tells_the_usage_and_what_it_cost(array: bool) -> None:
    writer = Writer(id="ours", model="m", own=False, thoughts=False, array=array)
    events: list[Event] = [
        TextDelta("t"),
        UsageReported(Usage(10, 7, 4, reasoning_tokens=2)),
        Finished("stop"),
    ]
    body = b"".join([writer.write(event) for event in events]) + writer.costs("0.25") + writer.close()
    first, last = chunks(body, array=array)
    assert "usageMetadata" not in first
    assert last["usageMetadata"] == {
        "promptTokenCount": 10,
        "candidatesTokenCount": 5,
        "totalTokenCount": 17,
        "thoughtsTokenCount": 2,
        "cachedContentTokenCount": 4,
    }
    assert last["x_dispatch"] == {"cost": "0.25"}


def test_audio_is_told_by_its_modality() -> None:
    told = write_usage(Usage(10, 7, audio_input_tokens=4))
    assert told["promptTokensDetails"] == [
        {"modality": "TEXT", "tokenCount": 6},
        {"modality": "AUDIO", "tokenCount": 4},
    ]


@ARRAY
def test_an_error_is_a_last_chunk_that_no_reason_follows(array: bool) -> None:
    writer = Writer(id="ours", model="m", own=False, thoughts=False, array=array)
    body = writer.write(TextDelta("t")) + writer.error({"error": {"code": 503}})
    told = chunks(body, array=array)
    assert told[1] == {"error": {"code": 503}}
    decoder = StreamDecoder(Random(7))
    assert isinstance((decoder.feed(body) + decoder.close())[-1], Failed)
    alone = Writer(id="ours", model="m", own=False, thoughts=False, array=array)
    assert chunks(alone.error({"error": {}}), array=array) == [{"error": {}}]


@ARRAY
def test_an_answer_of_nothing_has_an_end(array: bool) -> None:
    assert streamed(array=array) == [
        {"candidates": [{"index": 0, "finishReason": "STOP"}], "modelVersion": "m", "responseId": "ours"}
    ]


@ARRAY
def test_where_another_vendor_takes_over_is_marked(array: bool) -> None:
    told = streamed(
        TextDelta("a"),
        Seam("v/m", "w/n", "n", "truncated"),
        TextDelta("b"),
        Finished("stop", 0, "end_turn"),
        own=True,
        array=array,
    )
    assert told[1]["x_dispatch"] == {
        "seam": {"before": "v/m", "after": "w/n", "model": "n", "class": "truncated"}
    }
    # Whose word it is is not known any more.
    assert told[-1]["candidates"][0]["finishReason"] == "STOP"
    told = streamed(
        TextDelta("a"),
        ToolCallDelta(0, "c", "f", ""),
        Restarted("v/m", "w/n", "n", "truncated"),
        TextDelta("b"),
        Finished("stop"),
        array=array,
    )
    assert told[1]["x_dispatch"]["restart"]["after"] == "w/n"
    assert parts_of(told[1:]) == [{"text": "b"}]
    assert told[1]["modelVersion"] == "n"


_EVENTS = st.lists(
    st.one_of(
        st.builds(TextDelta, st.text(max_size=5), st.integers(0, 1)),
        st.builds(
            lambda call, piece, index: ToolCallDelta(call, f"c{call}", f"f{call}", piece, index),
            st.integers(0, 2), st.sampled_from(["", "{", "}", '{"a":1}', '"b":2', " ", "[", '"}"']), st.integers(0, 1),
        ),
    ),
    max_size=14,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(events=_EVENTS)
def test_however_calls_come_interleaved_each_is_told_once_and_whole(events: list[Event]) -> None:
    told = streamed(*events, Finished("tool_calls", 0), Finished("tool_calls", 1))
    for index in (0, 1):
        mine = [event for event in events if getattr(event, "index", None) == index]
        found = [
            part
            for chunk in told
            for candidate in chunk["candidates"]
            if candidate["index"] == index
            for part in candidate.get("content", {"parts": []})["parts"]
        ]
        texts = "".join(event.text for event in mine if isinstance(event, TextDelta))
        assert "".join(part["text"] for part in found if "text" in part) == texts
        wanted: dict[str, str] = {}
        for event in mine:
            if isinstance(event, ToolCallDelta):
                wanted[event.name or ""] = wanted.get(event.name or "", "") + event.arguments
        arguments = {name: _object(text) for name, text in wanted.items()}
        calls = [part["functionCall"] for part in found if "functionCall" in part]
        names = [call["name"] for call in calls]
        assert len(names) == len(set(names))
        for name, asked_for in arguments.items():
            # What can no longer be an object may have been one when it was told.
            assert asked_for is None or {"id": "c" + name[1:], "name": name, "args": asked_for} in calls
        broken = None in arguments.values()
        [reason] = [each["finishReason"] for each in told[-1]["candidates"] if each["index"] == index]
        assert reason == ("MALFORMED_FUNCTION_CALL" if broken else "STOP")


def _object(text: str) -> Any:
    try:
        found = json.loads(text.strip() or "{}")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


# --- parts that travel whole --------------------------------------------------------------------


def test_parts_of_other_formats_are_not_told() -> None:
    assert whole(Text("t"), Opaque("messages", {"type": "server_tool_use"}))["content"]["parts"] == [
        {"text": "t"}
    ]
    told = streamed(TextDelta("t"), OpaqueDelta("messages", {"type": "server_tool_use"}))
    assert parts_of(told) == [{"text": "t"}]


# --- errors -------------------------------------------------------------------------------------


def test_an_error_says_its_status_its_reason_the_field_and_when_to_come_again() -> None:
    told = errors.write("no", status=429, code="rate_limited", param="contents", retry_after=2.5)["error"]
    assert (told["code"], told["status"], told["message"]) == (429, "RESOURCE_EXHAUSTED", "no")
    kinds = {detail["@type"].rpartition(".")[2]: detail for detail in told["details"]}
    assert kinds["ErrorInfo"]["reason"] == "RATE_LIMITED"
    assert kinds["BadRequest"]["fieldViolations"] == [{"field": "contents", "description": "no"}]
    assert kinds["RetryInfo"]["retryDelay"] == "2.5s"


@pytest.mark.parametrize(
    ("status", "word"),
    [(400, "INVALID_ARGUMENT"), (404, "NOT_FOUND"), (413, "INVALID_ARGUMENT"), (500, "INTERNAL"), (502, "UNAVAILABLE"), (504, "DEADLINE_EXCEEDED"), (507, "INTERNAL")],
)  # fmt: skip
def test_each_status_has_googles_word(status: int, word: str) -> None:
    assert errors.write("no", status=status, code="x")["error"]["status"] == word


@ARRAY
def test_log_probabilities_are_told_with_their_text_and_are_no_part_of_it(array: bool) -> None:
    events: list[Event] = [Opened("theirs", "m")]
    for letter in "ab":
        likely = {"chosenCandidates": [{"token": letter}]}
        events += [
            TextDelta(letter),
            OpaqueDelta(FORMAT, {"logprobs": likely}, content=False, about="logprobs"),
        ]
    told = streamed(*events, Finished("stop", vendor_reason="STOP"), own=True, array=array)
    results = [
        each["candidates"][0]["logprobsResult"] for each in told if "logprobsResult" in each["candidates"][0]
    ]
    assert results == [{"chosenCandidates": [{"token": letter}]} for letter in "ab"]
    assert [part["text"] for part in parts_of(told) if part["text"]] == ["a", "b"]

"""Google's answers, buffered and streamed, with made-up bodies."""

from __future__ import annotations

import json
from itertools import pairwise
from random import Random
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
    Opaque,
    OpaqueDelta,
    Opened,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageReported,
)
from llm_dispatcher.runtime.dialects.base import VendorFault
from llm_dispatcher.runtime.dialects.formats.generate_content import FORMAT, StreamDecoder, read_completion
from llm_dispatcher.runtime.dialects.formats.generate_content.elements import ElementSplitter
from llm_dispatcher.runtime.dialects.formats.generate_content.wire import finish_reason, finish_word

from tests.fuzz.guard import held

Json = dict[str, Any]


def chunk(*parts: Json, finish: Any = None, index: int | None = None, **fields: Any) -> Json:
    """A chunk with one candidate."""
    candidate: Json = {"content": {"role": "model", "parts": list(parts)}}
    if finish is not None:
        candidate["finishReason"] = finish
    if index is not None:
        candidate["index"] = index
    return {"candidates": [candidate], "responseId": "r1", "modelVersion": "gemini-x", **fields}


def sse(*chunks: Json) -> bytes:
    return b"".join(
        b"data: " + json.dumps(item, ensure_ascii=False).encode() + b"\r\n\r\n" for item in chunks
    )


def array(*chunks: Json) -> bytes:
    return json.dumps(list(chunks), ensure_ascii=False, indent=1).encode()


def decode(body: bytes, cuts: tuple[int, ...] = ()) -> list[Event]:
    """All events of a body that arrives in pieces, cut at `cuts`, and then ends."""
    decoder = StreamDecoder(Random(7))
    events: list[Event] = []
    edges = [0, *sorted(cuts), len(body)]
    for start, stop in pairwise(edges):
        events += decoder.feed(body[start:stop])
    return events + decoder.close()


def complete(answer: Json) -> Completion:
    return read_completion(json.dumps(answer).encode(), Random(7))


def assembled(events: list[Event]) -> Completion:
    assembler = Assembler()
    for event in events:
        assembler.add(event)
    return assembler.completion(FORMAT)


def failure(events: list[Event]) -> FaultClass | None:
    last = events[-1] if events else None
    return last.fault.kind if isinstance(last, Failed) else None


CALL = {"functionCall": {"name": "f", "args": {"a": 1}}}
USAGE = {
    "promptTokenCount": 10,
    "toolUsePromptTokenCount": 5,
    "candidatesTokenCount": 3,
    "thoughtsTokenCount": 4,
    "cachedContentTokenCount": 2,
    "totalTokenCount": 22,
    "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 6}, {"modality": "TEXT", "tokenCount": 4}],
    "candidatesTokensDetails": [{"modality": 4, "tokenCount": 1}],
}
COUNTED = Usage(
    input_tokens=15,
    output_tokens=7,
    cache_read_tokens=2,
    reasoning_tokens=4,
    audio_input_tokens=6,
    audio_output_tokens=1,
)

STORY = (
    chunk({"text": "hm é", "thought": True}, usageMetadata={"promptTokenCount": 10}),
    chunk({"text": "", "thought": True, "thoughtSignature": "s1"}),
    chunk({"text": 'Grüße 🎈 "[{\\'}),
    chunk(CALL, {**CALL, "thoughtSignature": "s2"}),
    chunk({"executableCode": {"language": "PYTHON", "code": "1"}}),
    chunk({"text": "", "thoughtSignature": "s3"}, finish="STOP", usageMetadata=USAGE),
)

# --- buffered -----------------------------------------------------------------------------------


def test_an_answer_has_its_parts_in_order() -> None:
    answer = complete(
        chunk(
            {"text": "hm", "thought": True, "thoughtSignature": "s1"},
            {"text": "hello"},
            {"text": ""},
            {**CALL, "thoughtSignature": "s2"},
            {"functionCall": {"name": "g", "id": "theirs"}},
            {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
            {"thoughtSignature": "s3"},
            finish="STOP",
            usageMetadata=USAGE,
            createTime="2026-05-27T16:53:45.443719Z",
        )
    )
    (choice,) = answer.choices
    assert choice.parts == [
        Thinking("hm", "s1", None, FORMAT),
        Text("hello"),
        ToolCall("gcall_r1_0_0", "f", '{"a":1}', "s2"),
        ToolCall("theirs", "g", "{}"),
        Opaque(FORMAT, {"inlineData": {"mimeType": "image/png", "data": "AA=="}}),
        Text("", "s3"),
    ]
    assert (choice.finish, choice.vendor_finish) == ("tool_calls", "STOP")
    assert (answer.id, answer.model, answer.created, answer.format) == ("r1", "gemini-x", 1779900825, FORMAT)
    assert answer.usage == COUNTED


def test_ids_are_made_from_chance_where_the_answer_has_none() -> None:
    body = json.dumps({"candidates": [{"content": {"parts": [CALL, CALL]}}]}).encode()
    rng = Random(1)
    found = [call.id for _ in range(2) for call in read_completion(body, rng).choices[0].tool_calls]
    assert len(set(found)) == 4
    assert found == [
        call.id
        for again in [Random(1)]
        for _ in range(2)
        for call in read_completion(body, again).choices[0].tool_calls
    ]


def test_a_candidates_further_fields_are_kept() -> None:
    answer = chunk({"text": "x"}, finish="STOP")
    logprobs = {"chosenCandidates": [{"token": "x", "logProbability": -0.5}]}
    answer["candidates"][0] |= {
        "groundingMetadata": {"webSearchQueries": ["q"]},
        "avgLogprobs": -0.5,
        "safetyRatings": [],
        "logprobsResult": logprobs,
        "somethingNew": 1,
    }
    (choice,) = complete(answer).choices
    assert choice.logprobs == logprobs
    assert choice.extra == {
        FORMAT: {"groundingMetadata": {"webSearchQueries": ["q"]}, "avgLogprobs": -0.5, "somethingNew": 1}
    }


@pytest.mark.parametrize("content", [{}, {"content": {}}, {"content": {"role": "model"}}, {"content": None}])
def test_a_candidate_without_parts_is_an_empty_choice(content: Json) -> None:
    answer = complete({"candidates": [{**content, "finishReason": "MAX_TOKENS"}]})
    assert answer.choices == [Choice(finish="length", vendor_finish="MAX_TOKENS")]
    assert answer.usage is None


@pytest.mark.parametrize(("reason", "word"), [("SAFETY", "SAFETY"), (4, "PROHIBITED_CONTENT")])
def test_a_blocked_prompt_is_an_answer_that_was_filtered(reason: Any, word: str) -> None:
    feedback = {"blockReason": reason, "blockReasonMessage": "no"}
    answer = complete({"promptFeedback": feedback, "usageMetadata": {"trafficType": "ON_DEMAND"}})
    assert answer.choices == [Choice(finish="content_filter", vendor_finish=word)]
    assert answer.extra == {FORMAT: {"promptFeedback": feedback}}
    assert answer.usage is None


def test_several_candidates_are_several_choices() -> None:
    answer = complete(
        {
            "candidates": [chunk({"text": text}, finish="STOP")["candidates"][0] for text in "ab"],
            "responseId": "r",
        }
    )
    assert [(choice.index, choice.text) for choice in answer.choices] == [(0, "a"), (1, "b")]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}', FaultClass.OVERLOADED),
        (b'[{"error": {"code": 429, "message": "slow"}}]', FaultClass.RATE_LIMITED),
        (b"<html>Bad gateway</html>", FaultClass.MALFORMED),
        (b'{"choices": []}', FaultClass.MALFORMED),
        (b'{"candidates": [{"content": []}]}', FaultClass.MALFORMED),
        (b'{"candidates": [{"content": {"parts": ["x"]}}]}', FaultClass.MALFORMED),
        (b'{"candidates": 7}', FaultClass.MALFORMED),
        (b'[{"candidates": []}, {"candidates": []}]', FaultClass.MALFORMED),
        (b'{"candidates": [{"content": {"parts": [{"text": "\xff"}]}}]}', FaultClass.MALFORMED),
        (b"[" * 100_000, FaultClass.MALFORMED),
        (b"", FaultClass.MALFORMED),
    ],
)
def test_what_is_no_answer_is_a_fault(body: bytes, kind: FaultClass) -> None:
    with pytest.raises(VendorFault) as caught:
        read_completion(body, Random(1))
    assert caught.value.fault.kind is kind


# --- finish -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "calls", "reason"),
    [
        ("STOP", 0, "stop"),
        ("STOP", 1, "tool_calls"),
        ("MAX_TOKENS", 1, "length"),
        ("SAFETY", 0, "content_filter"),
        ("RECITATION", 0, "content_filter"),
        ("PROHIBITED_CONTENT", 0, "content_filter"),
        ("MALFORMED_FUNCTION_CALL", 0, "error"),
        ("UNEXPECTED_TOOL_CALL", 1, "error"),
        ("OTHER", 0, "other"),
        ("WHAT_NEXT", 0, "other"),
    ],
)
def test_the_finish_reason_is_canonical(word: str, calls: int, reason: str) -> None:
    assert finish_reason(word, calls) == reason


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (1, "STOP"),
        (2, "MAX_TOKENS"),
        (99, "99"),
        (0, None),
        (None, None),
        ("FINISH_REASON_UNSPECIFIED", None),
        ("X", "X"),
    ],
)
def test_a_finish_reason_may_be_a_number(raw: Any, word: str | None) -> None:
    assert finish_word(raw) == word


# --- streamed -----------------------------------------------------------------------------------


def test_a_stream_tells_its_story_event_by_event() -> None:
    assert decode(sse(*STORY)) == [
        Opened("r1", "gemini-x", 0),
        ThinkingDelta("hm é", 0, None, None, FORMAT, 0),
        UsageReported(Usage(input_tokens=10)),
        ThinkingDelta("", 0, "s1", None, FORMAT, 0),
        TextDelta('Grüße 🎈 "[{\\'),
        ToolCallDelta(0, "gcall_r1_0_0", "f", '{"a":1}'),
        ToolCallDelta(1, "gcall_r1_0_1", "f", '{"a":1}', 0, "s2"),
        OpaqueDelta(FORMAT, {"executableCode": {"language": "PYTHON", "code": "1"}}),
        TextDelta("", 0, "s3"),
        UsageReported(COUNTED),
        Finished("tool_calls", 0, "STOP"),
    ]


@pytest.mark.parametrize("body", [sse(*STORY), array(*STORY), sse(*STORY).replace(b"\r\n", b"\n")])
@given(cuts=st.lists(st.integers(0, 1700), max_size=12))
def test_where_the_network_cuts_makes_no_difference(body: bytes, cuts: list[int]) -> None:
    whole = decode(sse(*STORY))
    assert decode(body, tuple(min(cut, len(body)) for cut in cuts)) == whole


@pytest.mark.parametrize("body", [sse(*STORY), array(*STORY)])
def test_a_stream_may_come_byte_by_byte(body: bytes) -> None:
    assert decode(body, tuple(range(1, len(body)))) == decode(sse(*STORY))


@pytest.mark.parametrize("body", [sse(*STORY), array(*STORY)])
def test_a_stream_that_ends_early_is_never_complete(body: bytes) -> None:
    end = len(body.rstrip())
    for cut in range(end):
        assert failure(decode(body[:cut])) is FaultClass.TRUNCATED, cut


def test_a_buffered_and_a_streamed_answer_agree() -> None:
    together = [part for piece in STORY for part in piece["candidates"][0]["content"]["parts"]]
    buffered = complete(chunk(*together, finish="STOP", usageMetadata=USAGE))
    assembler = Assembler()
    for event in decode(sse(*STORY)):
        assembler.add(event)
    streamed = assembler.completion(FORMAT)
    for name in ("text", "thinking", "tool_calls", "finish", "vendor_finish"):
        assert getattr(buffered.choices[0], name) == getattr(streamed.choices[0], name)
    assert (buffered.id, buffered.model, buffered.usage) == (streamed.id, streamed.model, streamed.usage)


def test_the_end_of_the_array_ends_the_answer_at_once() -> None:
    decoder = StreamDecoder(Random(1))
    events = decoder.feed(array(chunk({"text": "x"}, finish="STOP")))
    assert events[-1] == Finished("stop", 0, "STOP")
    assert decoder.finished
    assert decoder.feed(b"more") == []
    assert decoder.close() == []


def test_server_sent_events_end_with_the_body_so_that_usage_may_follow_the_reason() -> None:
    decoder = StreamDecoder(Random(1))
    events = decoder.feed(sse(chunk({"text": "x"}, finish="STOP")))
    assert not any(isinstance(event, Finished) for event in events)
    assert not decoder.finished
    assert decoder.feed(sse({"usageMetadata": {"promptTokenCount": 1}})) == [
        UsageReported(Usage(input_tokens=1))
    ]
    assert decoder.close() == [Finished("stop", 0, "STOP")]
    assert decoder.finished


def test_a_reason_on_every_chunk_does_not_end_the_answer() -> None:
    events = decode(sse(chunk({"text": "a"}, finish="STOP"), chunk({"text": "b"}, finish="STOP")))
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["a", "b"]
    assert [event for event in events if isinstance(event, Finished)] == [Finished("stop", 0, "STOP")]


def test_content_after_a_reason_revokes_it() -> None:
    assert failure(decode(sse(chunk(finish="STOP"), chunk({"text": "a"})))) is FaultClass.TRUNCATED
    assert failure(decode(sse(chunk(finish="STOP"), chunk({"text": "a"}), chunk(finish="STOP")))) is None


def test_a_call_before_the_last_chunk_counts_for_the_reason() -> None:
    assert decode(sse(chunk(CALL), chunk({"text": ""}, finish="STOP")))[-1] == Finished(
        "tool_calls", 0, "STOP"
    )


def test_a_stream_is_complete_when_every_candidate_is() -> None:
    first, second = chunk({"text": "a"}, finish="STOP", index=0), chunk({"text": "b"}, index=1)
    assert failure(decode(sse(first, second))) is FaultClass.TRUNCATED
    ended = decode(sse(first, second, chunk(finish="MAX_TOKENS", index=1)))
    assert ended[-2:] == [Finished("stop", 0, "STOP"), Finished("length", 1, "MAX_TOKENS")]


def test_a_blocked_prompt_ends_the_stream() -> None:
    feedback = {"blockReason": "SAFETY"}
    assert decode(sse({"promptFeedback": feedback, "responseId": "r"})) == [
        Opened("r", "", 0),
        OpaqueDelta(FORMAT, {"promptFeedback": feedback}, content=False, about="answer"),
        Finished("content_filter", 0, "SAFETY"),
    ]


def test_metadata_is_told_when_it_changes_and_never_commits_the_stream() -> None:
    first, second = chunk({"text": "a"}), chunk({"text": "b"}, finish="STOP")
    for piece, grounding in ((first, {}), (second, {"webSearchQueries": ["q"]})):
        piece["candidates"][0] |= {"groundingMetadata": grounding, "safetyRatings": [{"category": 8}]}
    told = [event for event in decode(sse(first, second)) if isinstance(event, OpaqueDelta)]
    assert told == [
        OpaqueDelta(FORMAT, {"safetyRatings": [{"category": 8}]}, 0, content=False, about="choice"),
        OpaqueDelta(
            FORMAT, {"groundingMetadata": {"webSearchQueries": ["q"]}}, 0, content=False, about="choice"
        ),
    ]


def test_metadata_of_a_stream_is_where_that_of_a_whole_answer_is() -> None:
    likely = {"chosenCandidates": [{"token": "a"}], "avgLogprobs": -0.5}
    answer = chunk({"text": "ab"}, finish="STOP", promptFeedback={"safetyRatings": [{"category": 7}]})
    answer["candidates"][0] |= {"safetyRatings": [{"category": 8}], "logprobsResult": likely}
    assert assembled(decode(sse(answer))) == complete(answer)
    assert complete(answer).choices[0].logprobs == likely
    # Log probabilities come with the text that they are about.
    first, second = chunk({"text": "a"}), chunk({"text": "b"}, finish="STOP")
    for piece, token in ((first, "a"), (second, "b")):
        piece["candidates"][0]["logprobsResult"] = {"chosenCandidates": [{"token": token}]}
    told = assembled(decode(sse(first, second))).choices[0].logprobs
    assert told == {"chosenCandidates": [{"token": "a"}, {"token": "b"}]}


def test_a_candidate_that_consists_of_metadata_needs_no_reason_for_its_end() -> None:
    """It made the whole stream one that was cut."""
    answer = chunk({"text": "a"}, finish="STOP", index=0)
    answer["candidates"].append({"index": 1, "groundingMetadata": {"webSearchQueries": ["q"]}})
    assert assembled(decode(sse(answer))) == complete(answer)
    ended: Json = {"finishReason": "STOP", "groundingMetadata": {"webSearchQueries": ["q"]}}
    whole = {**chunk(), "candidates": [ended]}
    assert assembled(decode(sse(whole))) == complete(whole)
    alone = {"candidates": [{"groundingMetadata": {"webSearchQueries": ["q"]}}]}
    assert failure(decode(sse(alone))) is FaultClass.TRUNCATED


def test_arguments_that_are_streamed_in_pieces_stay_opaque() -> None:
    part = {
        "functionCall": {
            "name": "f",
            "willContinue": True,
            "partialArgs": [{"jsonPath": "$.a", "stringValue": "b"}],
        }
    }
    assert decode(sse(chunk(part)))[1] == OpaqueDelta(FORMAT, part)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (
            {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"},
            FaultClass.OVERLOADED,
        ),
        ({"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}, FaultClass.RATE_LIMITED),
        ({"code": 500, "message": "broken", "status": "INTERNAL"}, FaultClass.SERVER_ERROR),
        ({"code": 499, "message": "cancelled", "status": "CANCELLED"}, FaultClass.TIMEOUT_409),
        ("broken", FaultClass.IN_STREAM_ERROR),
    ],
)
def test_an_error_within_a_stream_is_its_end(error: Any, kind: FaultClass) -> None:
    for body in (
        sse({"error": error}),
        array({"error": error}),
        b"data: " + array({"error": error}).replace(b"\n", b"") + b"\n\n",
    ):
        assert failure(decode(body)) is kind
        assert len(decode(body)) == 1
    events = decode(sse(chunk({"text": "a"}), {"error": error}, chunk({"text": "b"}, finish="STOP")))
    assert failure(events) is kind
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["a"]


@pytest.mark.parametrize(
    "body",
    [
        b"data: {nonsense}\n\n",
        b"data: {}extra\n\n",
        b'data: {"candidates": [{"content": {"parts": [{"text": "\xff"}]}}]}\n\n',
        b'data: {"candidates": [7]}\n\n',
        b"<html><body>502</body></html>",
        b'[{"candidates": nonsense}]',
        b'[{"candidates": "\xff"}]',
    ],
)
def test_what_cannot_be_read_is_malformed_wherever_it_is_cut(body: bytes) -> None:
    whole = decode(body)
    assert failure(whole) is FaultClass.MALFORMED
    assert decode(body, tuple(range(len(body)))) == whole


@pytest.mark.parametrize("opening", [b"data: ", b"[", b"{"])
def test_an_event_that_does_not_end_is_given_up_at_the_limit(opening: bytes) -> None:
    decoder = StreamDecoder(Random(1), limit=1000)
    body = opening + b'{"candidates": "' + b"x" * 2000
    events = [
        event for start in range(0, len(body), 100) for event in decoder.feed(body[start : start + 100])
    ]
    events += decoder.close()
    assert failure(events) is FaultClass.OVERSIZED
    assert len(events) == 1


def test_events_before_one_that_is_too_long_are_delivered() -> None:
    good, long = chunk({"text": "a"}), chunk({"text": "b" * 2000})
    for body in (sse(good, long), array(good, long)):
        for size in (1, 50, len(body)):
            decoder = StreamDecoder(Random(1), limit=1000)
            events = [
                event for at in range(0, len(body), size) for event in decoder.feed(body[at : at + size])
            ]
            events += decoder.close()
            assert [event.text for event in events if isinstance(event, TextDelta)] == ["a"]
            assert failure(events) is FaultClass.OVERSIZED


@pytest.mark.parametrize(
    "body", [b"", b"\r\n \n", b"\xef\xbb\xbf", b": ping\n\n", b"[]", b"data: \n\n", b"[{}]"]
)
def test_a_body_without_an_answer_is_truncated(body: bytes) -> None:
    assert failure(decode(body)) is FaultClass.TRUNCATED


def test_a_byte_order_mark_and_blanks_before_the_stream_are_skipped() -> None:
    for body in (sse(*STORY), array(*STORY)):
        for start in (b"\xef\xbb\xbf", b" \r\n\r\n"):
            assert decode(start + body, tuple(range(12))) == decode(body)


# --- the array splitter -------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    elements=st.lists(st.dictionaries(st.text(), VALUES, max_size=3), max_size=4),
    indent=st.sampled_from([None, 2]),
    ascii_only=st.booleans(),
    cuts=st.lists(st.integers(0, 400), max_size=10),
)
def test_the_splitter_finds_the_elements_of_any_array(
    elements: list[Any], indent: int | None, ascii_only: bool, cuts: list[int]
) -> None:
    body = json.dumps(elements, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    splitter = ElementSplitter(1 << 20)
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    found = [element for start, stop in pairwise(edges) for element in splitter.feed(body[start:stop])]
    assert [json.loads(element) for element in found] == elements
    assert splitter.ended
    assert not splitter.close()
    assert not splitter.oversized


@pytest.mark.parametrize("count", [-1, 10**30])
def test_what_is_no_number_of_tokens_counts_as_none(count: int) -> None:
    usage = {"promptTokenCount": count, "candidatesTokenCount": 7, "thoughtsTokenCount": count}
    assert complete({"candidates": [], "usageMetadata": usage}).usage == Usage(output_tokens=7)


def test_a_candidate_that_nobody_asked_for_is_counted_by_its_place() -> None:
    assert complete(chunk({"text": "x"}, index=10**9)).choices[0].index == 0


@pytest.mark.parametrize("depth", [300, 950, 990, 100_000])
def test_an_answer_that_is_nested_too_deeply_is_malformed(depth: int) -> None:
    body = b'{"candidates":[{"groundingMetadata":%b}]}' % (b"[" * depth + b"]" * depth)
    with pytest.raises(VendorFault) as caught:
        read_completion(body, Random(7))
    assert caught.value.fault.kind is FaultClass.MALFORMED
    assert failure(decode(b"data: " + body + b"\n\n")) is FaultClass.MALFORMED


def test_metadata_of_ever_new_names_is_told_and_not_remembered_for_ever() -> None:
    decoder = StreamDecoder(Random(7))
    told: list[Event] = []
    for number in range(500):
        told += decoder.feed(sse({"candidates": [{"index": 0, f"name{number}": "x" * 9000}]}))
    assert sum(isinstance(event, OpaqueDelta) for event in told) == 500
    assert held(decoder) < 2**20

"""Cohere's answers: recordings against their oracle, cuts, endings that are faults, and both ways of answering alike."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
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
    Part,
    Text,
    Thinking,
    ToolCall,
    Usage,
    UsageReported,
)
from llm_dispatcher.runtime.dialects import VendorFault
from llm_dispatcher.runtime.dialects.formats.cohere_chat import FORMAT, reply, stream

from tests.corpus import Recording, needs_corpus, recordings
from tests.corpus.compare import found_in
from tests.corpus.oracle_cohere import expected

ANSWERS = tuple(each for each in recordings("cohere-chat") if not each.refused)
STREAMS = tuple(each for each in ANSWERS if each.stream)
COMPLETE = tuple(each for each in STREAMS if expected(each).complete)


def decode(body: bytes, cuts: list[int] | None = None) -> list[Event]:
    decoder = stream.Reader()
    edges = [0, *sorted(cuts or []), len(body)]
    events = [event for start, stop in pairwise(edges) for event in decoder.feed(body[start:stop])]
    return events + decoder.close()


def assembled(events: list[Event]) -> Completion:
    assembler = Assembler()
    for event in events:
        assert not isinstance(event, Failed), event
        assembler.add(event)
    return assembler.completion(FORMAT)


def failure(events: list[Event]) -> Failed:
    last = events[-1]
    assert isinstance(last, Failed)
    return last


# --- recordings ---------------------------------------------------------------------------------


@needs_corpus
def test_every_recording_is_there() -> None:
    assert (len(ANSWERS), len(STREAMS), len(COMPLETE)) == (73, 31, 28)


@needs_corpus
@pytest.mark.parametrize("recording", ANSWERS, ids=lambda recording: recording.name)
def test_every_answer_is_as_its_oracle_reads_it(recording: Recording) -> None:
    want = expected(recording)
    if not want.complete:
        assert failure(decode(recording.body)).fault.kind is FaultClass.BAD_REQUEST
        return
    answer = assembled(decode(recording.body)) if recording.stream else reply.read(recording.body)
    assert found_in(answer, want) == want
    assert answer.id


@needs_corpus
@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_where_the_network_cuts_makes_no_difference(data: st.DataObject) -> None:
    body = data.draw(st.sampled_from(STREAMS)).body
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=15))
    assert decode(body, cuts) == decode(body)


@needs_corpus
@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_recorded_stream_cut_short_is_never_complete(data: st.DataObject) -> None:
    body = data.draw(st.sampled_from(COMPLETE)).body
    # The blank line that makes the last event whole; nothing after it is missed.
    end = body.rindex(b"data: [DONE]")
    cut = data.draw(st.integers(0, end - 2))
    assert failure(decode(body[:cut])).fault.kind is FaultClass.TRUNCATED


# --- by hand ------------------------------------------------------------------------------------


def sse(*events: dict[str, Any], done: bool = True) -> bytes:
    text = "".join(f"event: {each.get('type')}\ndata: {json.dumps(each)}\n\n" for each in events)
    return (text + ("data: [DONE]\n\n" if done else "")).encode()


def said(kind: str, index: int | None = None, **message: Any) -> dict[str, Any]:
    where = {} if index is None else {"index": index}
    return {"type": kind, **where, "delta": {"message": message}}


def end(word: str = "COMPLETE", **more: Any) -> dict[str, Any]:
    usage = {
        "billed_units": {"input_tokens": 8, "output_tokens": 20},
        "tokens": {"input_tokens": 1400, "output_tokens": 40, "reasoning_tokens": 12},
        "cached_tokens": 1344,
    }
    return {"type": "message-end", "delta": {"finish_reason": word, "usage": usage, **more}}


START: dict[str, Any] = {
    "id": "i",
    "type": "message-start",
    "delta": {"message": {"role": "assistant", "content": []}},
}
CITATION = {"start": 0, "end": 5, "text": "Grüße", "sources": [{"type": "document", "id": "d"}]}
HELLO = (
    START,
    said("content-start", 0, content={"type": "text", "text": ""}),
    said("content-delta", 0, content={"text": "Grüße"}),
)


def whole(parts: list[Part], word: str) -> bytes:
    """The buffered answer with these parts."""
    message: dict[str, Any] = {"role": "assistant", "content": [], "tool_calls": [], "citations": []}
    for part in parts:
        if isinstance(part, Text):
            message["content"].append({"type": "text", "text": part.text})
        elif isinstance(part, Thinking):
            message["content"].append({"type": "thinking", "thinking": part.text})
        elif isinstance(part, ToolCall):
            function = {"name": part.name, "arguments": part.arguments}
            message["tool_calls"].append({"id": part.id, "type": "function", "function": function})
        elif isinstance(part, Opaque):
            message["citations"].append(part.payload["citation"])
    ending = end(word)["delta"]
    return json.dumps({"id": "i", "message": message, **ending}).encode()


def streamed(parts: list[Part], word: str, size: int) -> bytes:
    """The same answer as a stream, in pieces of `size` characters."""
    events: list[dict[str, Any]] = [START]
    for index, part in enumerate(parts):
        if isinstance(part, Opaque):
            events.append(said("citation-start", index, citations=part.payload["citation"]))
        elif isinstance(part, ToolCall):
            call = {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": ""}}
            events.append(said("tool-call-start", index, tool_calls=call))
            pieces = [part.arguments[at : at + size] for at in range(0, len(part.arguments), size)]
            given = [{"function": {"arguments": piece}} for piece in pieces]
            events += [said("tool-call-delta", index, tool_calls=each) for each in given]
            events.append({"type": "tool-call-end", "index": index})
        elif isinstance(part, Text | Thinking):
            name = "text" if isinstance(part, Text) else "thinking"
            events.append(said("content-start", index, content={"type": name, name: ""}))
            pieces = [part.text[at : at + size] for at in range(0, len(part.text), size)]
            events += [said("content-delta", index, content={name: piece}) for piece in pieces]
            events.append({"type": "content-end", "index": index})
    return sse(*events, end(word))


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@pytest.mark.slow
@given(
    thoughts=st.lists(WORDS, max_size=2),
    text=st.one_of(st.none(), WORDS),
    citations=st.integers(0, 2),
    calls=st.lists(st.dictionaries(WORDS, st.integers()), max_size=3),
    size=st.integers(1, 7),
)
def test_buffered_and_streamed_answers_agree(
    thoughts: list[str], text: str | None, citations: int, calls: list[dict[str, int]], size: int
) -> None:
    parts: list[Part] = [Thinking(each, format=FORMAT) for each in thoughts]
    parts += [] if text is None else [Text(text)]
    parts += [Opaque(FORMAT, {"citation": CITATION})] * citations
    parts += [ToolCall(f"c{number}", "f", json.dumps(each)) for number, each in enumerate(calls)]
    word = "TOOL_CALL" if calls else "COMPLETE"
    buffered = reply.read(whole(parts, word))
    assert buffered == assembled(decode(streamed(parts, word, size)))
    assert buffered.choices == [
        Choice(parts=parts, finish="tool_calls" if calls else "stop", vendor_finish=word)
    ]
    # Where the whole answer comes although a stream was asked for, it makes no difference either.
    assert assembled(decode(whole(parts, word))) == buffered


def test_usage_is_what_is_billed_and_thoughts_are_a_part_of_it() -> None:
    usage = Usage(input_tokens=8, output_tokens=20, reasoning_tokens=12)
    assert assembled(decode(sse(*HELLO, end()))).usage == usage
    assert reply.read(whole([Text("x")], "COMPLETE")).usage == usage


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        ({"tokens": {"input_tokens": 5, "output_tokens": 6.0}}, Usage(input_tokens=5, output_tokens=6)),
        ({"billed_units": {}, "tokens": None}, None),
        ({}, None),
        (None, None),
        ([], None),
        ({"billed_units": {"input_tokens": "many"}}, Usage()),
    ],
)
def test_usage_that_is_told_otherwise(raw: Any, usage: Usage | None) -> None:
    body = {"message": {"content": []}, "finish_reason": "COMPLETE", "usage": raw}
    assert reply.read(json.dumps(body).encode()).usage == usage


def test_a_plan_before_tools_is_a_thought_in_both_ways_of_answering() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    events = decode(
        sse(
            START,
            said("tool-plan-delta", tool_plan="I will "),
            said("tool-plan-delta", tool_plan="look."),
            said("tool-call-start", 0, tool_calls=call),
            end("TOOL_CALL"),
        )
    )
    body = {
        "id": "i",
        "message": {"tool_plan": "I will look.", "tool_calls": [call]},
        **end("TOOL_CALL")["delta"],
    }
    assert assembled(events) == reply.read(json.dumps(body).encode())
    assert assembled(events).choices[0].thinking == "I will look."


def test_citations_and_log_probabilities_are_no_content_and_travel_beside_it() -> None:
    logged = {**said("content-delta", 0, content={"text": "!"}), "logprobs": {"text": "!", "logprobs": [0]}}
    events = decode(sse(*HELLO, logged, said("citation-start", 0, citations=CITATION), end()))
    beside = [event.payload for event in events if isinstance(event, OpaqueDelta)]
    assert beside == [{"logprobs": [logged["logprobs"]]}, {"citation": CITATION}]
    assert all(not event.content for event in events if isinstance(event, OpaqueDelta))
    choice = assembled(events).choices[0]
    assert (choice.text, choice.logprobs) == ("Grüße!", [logged["logprobs"]])


def test_the_mark_at_the_end_may_be_missing_but_not_the_ending_itself() -> None:
    assert assembled(decode(sse(*HELLO, end(), done=False))) == assembled(decode(sse(*HELLO, end())))
    for body in (sse(*HELLO, done=False), sse(*HELLO), b"", b"data: [DONE]\n\n"):
        assert failure(decode(body)).fault.kind is FaultClass.TRUNCATED
    decoder = stream.Reader()
    decoder.feed(sse(*HELLO, end(), done=False))
    assert not decoder.finished
    decoder.feed(b"data: [DONE]\n\n")
    assert decoder.finished
    assert decoder.feed(sse(*HELLO)) == []
    assert decoder.close() == []


@pytest.mark.parametrize(
    ("word", "why", "kind", "elsewhere"),
    [
        ("ERROR", "No valid response generated. Try updating messages", FaultClass.BAD_REQUEST, True),
        ("ERROR", "all generated tool calls were hallucinated. Try ...", FaultClass.BAD_REQUEST, True),
        ("ERROR", "something broke", FaultClass.IN_STREAM_ERROR, False),
        ("ERROR", None, FaultClass.IN_STREAM_ERROR, False),
        ("TIMEOUT", None, FaultClass.TIMEOUT_409, False),
    ],
)
def test_an_ending_with_an_error_is_a_fault_after_what_was_billed(
    word: str, why: str | None, kind: FaultClass, elsewhere: bool
) -> None:
    ending = end(word) if why is None else end(word, error=why)
    *before, last = decode(sse(*HELLO, ending))
    assert isinstance(last, Failed)
    assert (last.fault.kind, last.fault.elsewhere, last.fault.type) == (kind, elsewhere, word)
    assert last.fault.message == (why or f"the answer ended with {word}")
    assert isinstance(before[-1], UsageReported)
    assert not any(isinstance(event, Finished) for event in before)
    body = {"id": "i", "message": {"content": []}, **ending["delta"]}
    with pytest.raises(VendorFault) as caught:
        reply.read(json.dumps(body).encode())
    assert caught.value.fault == last.fault


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("STOP_SEQUENCE", "stop"),
        ("MAX_TOKENS", "length"),
        ("TOOL_CALL", "tool_calls"),
        ("ERROR_TOXIC", "content_filter"),
        ("SOMETHING_NEW", "other"),
    ],
)
def test_the_vendors_words_for_why_an_answer_ended(word: str, finish: str) -> None:
    choice = assembled(decode(sse(*HELLO, end(word)))).choices[0]
    assert (choice.finish, choice.vendor_finish) == (finish, word)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>", FaultClass.MALFORMED),
        (b"[]", FaultClass.MALFORMED),
        (b"{}", FaultClass.MALFORMED),
        (b'{"message": {"content": "\xff"}}', FaultClass.MALFORMED),
        (b'{"id": "i", "message": "invalid api token"}', FaultClass.IN_STREAM_ERROR),
    ],
)
def test_what_is_no_answer_is_a_fault(body: bytes, kind: FaultClass) -> None:
    with pytest.raises(VendorFault) as caught:
        reply.read(body)
    assert caught.value.fault.kind is kind


def test_an_error_among_the_events_ends_the_stream() -> None:
    events = decode(sse(*HELLO, {"message": "too many requests", "code": "rate_limit_exceeded"}, end()))
    assert failure(events).fault.message == "too many requests"
    events = decode(b"event: message-start\ndata: {oops\n\n")
    assert failure(events).fault.kind is FaultClass.MALFORMED


def test_events_that_nobody_knows_yet_change_nothing() -> None:
    odd: list[dict[str, Any]] = [
        {"type": "debug", "prompt": "..."},
        {"type": "content-delta", "index": 0},
        said("content-delta", 0, content=["?"]),
        said("content-delta", 0, content={"text": 7}),
        said("tool-call-delta", 0, tool_calls={"function": {"arguments": "lost"}}),
        said("tool-call-start", 0, tool_calls=[]),
        said("citation-start", 0, citations=[]),
        said("tool-plan-delta", tool_plan=None),
        {"nothing": "known"},
    ]
    assert assembled(decode(sse(*HELLO, *odd, end()))) == assembled(decode(sse(*HELLO, end())))


def test_an_event_and_a_whole_answer_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = stream.Reader(limit=100)
    events = decoder.feed(b"data: " + b"x" * 200)
    events += decoder.close()
    assert failure(events).fault.kind is FaultClass.OVERSIZED
    monkeypatch.setattr(stream, "_MOST_JSON", 10)
    assert failure(decode(b'{"message": "' + b"x" * 10)).fault.kind is FaultClass.OVERSIZED


NAMES = ("type", "delta", "message", "content", "tool_calls", "function", "usage", "id", "finish_reason")
ANYTHING = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=20,
)


@pytest.mark.slow
@settings(deadline=None)
@given(value=ANYTHING)
def test_nothing_that_a_vendor_sends_raises(value: Any) -> None:
    body = msgspec.json.encode(value)
    with suppress(VendorFault):
        reply.read(body)
    decode(b"data: " + body + b"\n\n")
    decode(body)
    if isinstance(value, dict):
        for kind in ("content-delta", "tool-call-start", "citation-start", "message-end", "tool-plan-delta"):
            decode(sse(START, {**value, "type": kind}))

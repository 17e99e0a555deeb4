"""Answers of the messages format: read into the canon and written for a client, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

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
    FinishReason,
    Opaque,
    OpaqueDelta,
    Opened,
    Part,
    Refusal,
    RefusalDelta,
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
from llm_dispatcher.runtime.dialects.formats.messages import reply
from llm_dispatcher.runtime.dialects.formats.messages.stream import Reader, Writer

from tests.corpus import Recording, needs_corpus, recordings
from tests.corpus.message_stream import accumulated, events_in, plain

FOLDERS = ("anthropic-messages", "vertex-messages")


def streams() -> list[Recording]:
    """The recorded streams that their vendor ended."""
    return [each for each in recordings(*FOLDERS) if each.stream and b"message_stop" in each.body]


def wholes() -> list[Recording]:
    return [each for each in recordings(*FOLDERS) if not each.refused and each.body.lstrip().startswith(b"{")]


def decode(*pieces: bytes) -> list[Event]:
    reader = Reader()
    return [event for piece in pieces for event in reader.feed(piece)] + reader.close()


def written(events: Iterable[Event], *, own: bool = True) -> bytes:
    writer = Writer(id="msg_ours", model="ours", own=own)
    return b"".join([writer.write(event) for event in events]) + writer.close()


def assembled(events: Iterable[Event], format: str = "messages") -> Completion:
    assembler = Assembler()
    for event in events:
        assembler.add(event)
    return assembler.completion(format)


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def start(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": fields}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


BEGIN: dict[str, Any] = {"type": "message_start", "message": {"id": "m", "model": "c", "usage": {"input_tokens": 3}}}  # fmt: skip
END: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}  # fmt: skip
STOP: dict[str, Any] = {"type": "message_stop"}


# --- recordings ---------------------------------------------------------------------------------


@needs_corpus
def test_a_client_is_told_of_a_recorded_stream_all_that_its_vendor_told() -> None:
    tried = streams()
    for recording in tried:
        through = accumulated(written(decode(recording.body)))
        assert plain(through) == plain(accumulated(recording.body)), recording.name
    assert len(tried) > 50


@needs_corpus
def test_a_client_is_told_of_a_recorded_answer_all_that_its_vendor_told() -> None:
    tried = wholes()
    for recording in tried:
        raw = json.loads(recording.body)
        through = reply.write(reply.read(recording.body), id="ours", model="ours")
        assert {name: value for name, value in through.items() if value is not None}.keys() >= {
            name for name, value in raw.items() if value is not None
        }, recording.name
        assert plain(through) == plain(raw), recording.name
    assert len(tried) > 50


@needs_corpus
def test_a_recorded_answer_in_place_of_a_stream_tells_the_same() -> None:
    for recording in wholes():
        through = accumulated(written(decode(recording.body)))
        assert plain(through) == plain(json.loads(recording.body)), recording.name


@needs_corpus
def test_what_a_stream_adds_up_to_is_told_as_the_stream_was() -> None:
    for recording in streams():
        events = decode(recording.body)
        whole = reply.write(assembled(events), id="ours", model="ours")
        assert plain(whole) == plain(accumulated(recording.body)), recording.name


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
    end = body.index(b'"message_stop"', body.index(b"event: message_stop"))
    [*before, last] = decode(body[: data.draw(st.integers(0, end))])
    assert isinstance(last, Failed)
    assert last.fault.kind is FaultClass.TRUNCATED
    assert decode(body)[: len(before)] == before


# --- there and back -----------------------------------------------------------------------------

WORDS = st.text(min_size=1, max_size=6)
OBJECTS = st.dictionaries(WORDS, st.integers() | WORDS | st.none(), max_size=2)
CALLS = st.builds(
    lambda name, given: ToolCall("id", name, json.dumps(given, separators=(",", ":"), ensure_ascii=False)),
    WORDS,
    OBJECTS,
)
PARTS: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, WORDS),
    st.builds(
        lambda text, cited: Text(text, extra={"messages": {"citations": cited}}),
        WORDS,
        st.lists(st.fixed_dictionaries({"type": st.just("page_location"), "n": st.integers()}), min_size=1),
    ),
    st.builds(lambda text, seal: Thinking(text, seal, format="messages"), WORDS, WORDS | st.none()),
    st.builds(lambda data: Thinking(redacted=data, format="messages"), WORDS),
    CALLS,
    st.builds(lambda data: Opaque("messages", {"type": "new_block", "content": data}), WORDS),
    st.builds(
        lambda data: Opaque("messages", {"type": "server_tool_use", "id": "s", "name": "n", "input": data}),
        OBJECTS,
    ),
)
USAGES = st.builds(
    lambda fresh, read, write, hour, out, thought: Usage(
        input_tokens=fresh + read + write,
        output_tokens=out,
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=min(hour, write),
        reasoning_tokens=min(thought, out),
    ),
    *[st.integers(0, 5)] * 6,
)


@st.composite
def completions(draw: st.DrawFn) -> Completion:
    parts = [
        ToolCall(f"t{number}", part.name, part.arguments) if isinstance(part, ToolCall) else part
        for number, part in enumerate(draw(st.lists(PARTS, max_size=6)))
    ]
    word = draw(st.sampled_from([*reply.FINISHES, "something_new"]))
    extra = draw(st.sampled_from([None, {"stop_sequence": "x"}, {"context_management": {"edits": [1]}}]))
    return Completion(
        id="m1",
        model="c",
        choices=[Choice(parts=parts, finish=reply.FINISHES.get(word, "other"), vendor_finish=word)],
        usage=draw(USAGES),
        format="messages",
        extra=None if extra is None else {"messages": extra},
    )


@pytest.mark.slow
@given(answer=completions())
def test_an_answer_is_the_same_after_it_was_written_and_read(answer: Completion) -> None:
    body = json.dumps(reply.write(answer, id="ours", model="ours"), ensure_ascii=False).encode()
    assert reply.read(body) == answer


@pytest.mark.slow
@given(answer=completions())
def test_an_answer_is_the_same_streamed_and_whole(answer: Completion) -> None:
    stream = written(reply.events_of(answer))
    whole = reply.write(answer, id="ours", model="ours")
    assert plain(accumulated(stream)) == plain(whole)
    again = decode(stream)
    assert plain(reply.write(assembled(again), id="ours", model="ours")) == plain(whole)
    # A stream has no word for how long a cache lives.
    counts = answer.usage and (answer.usage.input_tokens, answer.usage.output_tokens)
    usage = assembled(again).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == counts


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
            events.append(
                ThinkingDelta(draw(st.text(max_size=3)), signature=draw(st.sampled_from([None, "s"])))
            )
        elif kind == "refusal":
            events.append(RefusalDelta(draw(WORDS)))
        elif kind == "opaque":
            events.append(OpaqueDelta("chat_completions", {"delta": {}}))
        elif kind == "usage":
            events.append(UsageReported(Usage(3, 4)))
        elif kind == "call":
            whole = draw(st.sampled_from(["", "{}", '{"a": [1, {"b": "c"}]}']))
            cut = draw(st.integers(0, len(whole)))
            events.append(ToolCallDelta(count, f"id{count}", "f", whole[:cut]))
            left[count] = whole[cut:]
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
    message = accumulated(written(events, own=False))
    answer = assembled(events, "chat_completions").choices[0]
    blocks = message["content"]
    texts = [part.text for part in answer.parts if isinstance(part, Text | Refusal)]
    assert "".join(block["text"] for block in blocks if block["type"] == "text") == "".join(texts)
    assert "".join(block["thinking"] for block in blocks if block["type"] == "thinking") == answer.thinking
    assert [(block["id"], block["input"]) for block in blocks if block["type"] == "tool_use"] == [
        (call.id, json.loads(call.arguments or "{}")) for call in answer.tool_calls
    ]
    assert all(block["signature"] == "" for block in blocks if block["type"] == "thinking")
    assert (message["id"], message["model"]) == ("msg_ours", "theirs")
    assert (message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == (7, 9)


# --- what is told how ---------------------------------------------------------------------------


def test_the_sequence_is_anthropics_own() -> None:
    events: list[Event] = [
        Opened("c1", "theirs"),
        ThinkingDelta("hm"),
        TextDelta("Look"),
        TextDelta("ing"),
        ToolCallDelta(0, "a", "f", '{"x":'),
        ToolCallDelta(0, arguments="1}"),
        ToolCallDelta(1, "b", "g", "{}"),
        Finished("tool_calls", vendor_reason="tool_calls"),
        UsageReported(Usage(5, 6)),
    ]
    told = [(event["type"], event.get("index")) for event in events_in(written(events, own=False))]
    assert told == [
        ("message_start", None),
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
        ("content_block_start", 2),
        ("content_block_delta", 2),
        ("content_block_delta", 2),
        ("content_block_stop", 2),
        ("content_block_start", 3),
        ("content_block_delta", 3),
        ("content_block_stop", 3),
        ("message_delta", None),
        ("message_stop", None),
    ]


def test_an_input_that_is_counted_beforehand_is_told_at_the_start() -> None:
    stream = written([Opened("m", "c"), UsageReported(Usage(8, 1)), TextDelta("x"), Finished("stop")])
    assert events_in(stream)[0]["message"]["usage"]["input_tokens"] == 8


def test_an_answer_without_content_is_a_whole_message() -> None:
    message = accumulated(written([Opened("m", "c"), Finished("stop", vendor_reason="end_turn")]))
    assert (message["content"], message["stop_reason"]) == ([], "end_turn")


@pytest.mark.parametrize(
    ("finish", "word", "parts", "told"),
    [
        ("stop", "stop", [Text("x")], "end_turn"),
        ("length", "length", [Text("x")], "max_tokens"),
        ("tool_calls", "tool_calls", [ToolCall("a", "f", "{}")], "tool_use"),
        ("stop", "stop", [ToolCall("a", "f", "{}")], "tool_use"),
        ("stop", "stop", [Refusal("no")], "refusal"),
        ("content_filter", "SAFETY", [], "refusal"),
        ("other", "novelty", [Text("x")], "end_turn"),
    ],
)
def test_why_another_vendors_answer_ended_is_said_in_anthropics_words(
    finish: FinishReason, word: str, parts: list[Part], told: str
) -> None:
    choice = Choice(parts=parts, finish=finish, vendor_finish=word)
    answer = Completion(choices=[choice], format="chat_completions")
    assert reply.write(answer, id="m", model="c")["stop_reason"] == told
    kinds: dict[type, Any] = {
        Text: lambda part: TextDelta(part.text),
        Refusal: lambda part: RefusalDelta(part.text),
        ToolCall: lambda part: ToolCallDelta(0, part.id, part.name, part.arguments),
    }
    events = [*(kinds[type(part)](part) for part in parts), Finished(finish, vendor_reason=word)]
    assert accumulated(written(events, own=False))["stop_reason"] == told


def test_anothers_thoughts_are_told_without_their_seal_and_secrets_not_at_all() -> None:
    parts: list[Part] = [
        Thinking("hm", "sealed", format="generate_content"),
        Thinking(redacted="secret", format="other"),
        Thinking(signature="sealed", format="generate_content"),
        Opaque("chat_completions", {"type": "audio"}),
        Text("yes"),
    ]
    answer = Completion(choices=[Choice(parts=parts, finish="stop")], format="generate_content")
    blocks = reply.write(answer, id="m", model="c")["content"]
    assert blocks == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "yes"},
    ]


def test_arguments_that_are_no_object_are_an_error_unless_the_answer_was_cut_off() -> None:
    def answer(finish: FinishReason) -> Completion:
        choice = Choice(parts=[ToolCall("a", "f", '{"x": "unfin')], finish=finish)
        return Completion(choices=[choice], format="chat_completions")

    with pytest.raises(VendorFault, match="arguments of 'f'"):
        reply.write(answer("tool_calls"), id="m", model="c")
    cut = reply.write(answer("length"), id="m", model="c")
    assert (cut["content"][0]["input"], cut["stop_reason"]) == ({}, "max_tokens")


def test_an_error_in_the_stream_is_an_event_of_its_own() -> None:
    envelope = {"type": "error", "error": {"type": "api_error", "message": "oh"}}
    assert events_in(Writer.error(envelope)) == [envelope]


# --- streams that are not as they should be -----------------------------------------------------


def test_blocks_that_nobody_closed_end_with_the_answer() -> None:
    stream = sse(
        BEGIN,
        start(0, type="tool_use", id="a", name="f", input={"x": 1}),
        start(1, type="server_tool_use", id="s", name="web", input={}),
        delta(1, type="input_json_delta", partial_json='{"q": 2}'),
        END,
        STOP,
    )
    [choice] = assembled(decode(stream)).choices
    assert choice.parts == [
        ToolCall("a", "f", '{"x":1}'),
        Opaque("messages", {"type": "server_tool_use", "id": "s", "name": "web", "input": {"q": 2}}),
    ]
    assert choice.finish == "stop"


def test_a_vendors_own_tool_that_is_cut_off_does_not_cost_the_answer() -> None:
    stream = sse(
        BEGIN,
        start(0, type="server_tool_use", id="s", name="web", input={}),
        delta(0, type="input_json_delta", partial_json='{"q": "unfin'),
        stop(0),
        {**END, "delta": {"stop_reason": "max_tokens"}},
        STOP,
    )
    [choice] = assembled(decode(stream)).choices
    assert choice.parts == [
        Opaque("messages", {"type": "server_tool_use", "id": "s", "name": "web", "input": {}})
    ]
    assert choice.finish == "length"


def test_fields_of_a_call_and_citations_go_to_what_they_belong_to() -> None:
    caller = {"type": "code_execution_20260120", "tool_id": "s"}
    stream = sse(
        BEGIN,
        start(0, type="text", text="", citations=[]),
        delta(0, type="citations_delta", citation={"n": 1}),
        delta(0, type="text_delta", text="one"),
        stop(0),
        start(1, type="text", text="two"),
        stop(1),
        start(2, type="tool_use", id="a", name="f", input={}, caller=caller),
        stop(2),
        END,
        STOP,
    )
    message = accumulated(written(decode(stream)))
    assert message["content"] == [
        {"type": "text", "text": "one", "citations": [{"n": 1}]},
        {"type": "text", "text": "two"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {}, "caller": caller},
    ]


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (delta(5, type="input_json_delta", partial_json="{}"), FaultClass.MALFORMED),
        ({"type": "content_block_delta", "index": "x"}, FaultClass.MALFORMED),
        ({"error": {"type": "overloaded_error", "message": "busy"}}, FaultClass.OVERLOADED),
        ({"type": "error", "error": None}, FaultClass.IN_STREAM_ERROR),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "m"}}, FaultClass.RATE_LIMITED),
    ],
)
def test_what_cannot_be_gone_on_from_is_the_last_event(event: dict[str, Any], kind: FaultClass) -> None:
    [*_, last] = decode(sse(BEGIN, start(0, type="text", text="x"), event, stop(0), END, STOP))
    assert isinstance(last, Failed)
    assert last.fault.kind is kind


def test_events_and_deltas_newer_than_this_version_do_not_end_a_stream() -> None:
    news = delta(0, type="hue_delta", hue="blue")
    stream = sse(BEGIN, {"type": "novelty"}, start(0, type="text", text="x"), news, stop(0), END, STOP)
    assert isinstance(decode(stream)[-1], Finished)
    assert news in events_in(written(decode(stream)))


def test_a_stream_that_wants_too_much_kept_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_dispatcher.runtime.dialects.formats.messages.stream._MOST_KEPT", 1000)
    huge = delta(0, type="input_json_delta", partial_json="x" * 400)
    [*_, last] = decode(sse(BEGIN, start(0, type="server_tool_use", id="s", name="n"), *[huge] * 5, STOP))
    assert isinstance(last, Failed)
    assert last.fault.kind is FaultClass.OVERSIZED
    [last] = decode(b'{"content": ["' + b"x" * 2000)
    assert isinstance(last, Failed)
    assert last.fault.kind is FaultClass.OVERSIZED


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\n <html>busy</html>", FaultClass.MALFORMED),
        (
            b' {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}',
            FaultClass.OVERLOADED,
        ),
        (b'{"content": [', FaultClass.TRUNCATED),
        (b"{}", FaultClass.MALFORMED),
        (b"", FaultClass.TRUNCATED),
    ],
)
def test_what_comes_in_place_of_a_stream_is_told_apart(body: bytes, kind: FaultClass) -> None:
    [last] = decode(body)
    assert isinstance(last, Failed)
    assert last.fault.kind is kind

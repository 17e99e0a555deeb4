"""What the messages format keeps of a stream is bounded, and what it costs grows with the stream and not with its square."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.canon import Event, Finished, OpaqueDelta, Opened, ToolCallDelta
from llm_dispatcher.runtime.dialects.formats.messages.stream import Reader, Writer
from llm_dispatcher.runtime.dialects.formats.messages.wholeness import Wholeness

from tests.corpus.message_stream import accumulated
from tests.fuzz.guard import held

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('"\\{}[]a,: \n', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('"\\{[a', max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(value=st.dictionaries(st.text(max_size=3), JSON, max_size=3), data=st.data())
def test_an_object_is_whole_at_its_last_character_wherever_it_is_cut(
    value: dict[str, Any], data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    cuts = data.draw(st.sets(st.integers(1, len(text)), max_size=6))
    scanner, told = Wholeness(), []
    for a, b in pairwise([0, *sorted(cuts), len(text)]):
        scanner.add(text[a:b])
        told.append((b, scanner.whole))
    assert [whole for _, whole in told] == [end == len(text) for end, _ in told]


def test_nothing_is_no_whole_object() -> None:
    scanner = Wholeness()
    for piece in ("", " ", '"{}"', "null"):
        scanner.add(piece)
        assert not scanner.whole


def writing(events: list[Event]) -> tuple[Writer, bytes]:
    writer = Writer(id="msg", model="m", own=True)
    return writer, b"".join([writer.write(event) for event in events])


def size(*objects: Any) -> float:
    """MiB that these hold."""
    return held(*objects) / 2**20


def test_a_writer_keeps_nothing_of_a_calls_arguments() -> None:
    writer = Writer(id="msg", model="m", own=True)
    writer.write(ToolCallDelta(0, "a", "f", '{"text": "'))
    for _ in range(20_000):
        writer.write(ToolCallDelta(0, arguments="x" * 100))
    assert size(writer) < 0.1


def test_a_writer_keeps_the_last_of_what_ends_say() -> None:
    writer = Writer(id="msg", model="m", own=True)
    for number in range(20_000):
        beside = {
            "type": "message_delta",
            "delta": {"container": {"id": str(number)}},
            f"new{number}": "x" * 100,
        }
        writer.write(OpaqueDelta("messages", beside, content=False))
    assert size(writer) < 0.1
    writer.write(Finished("stop", vendor_reason="end_turn"))
    assert b'"container":{"id":"19999"}' in writer.close()


def test_what_comes_before_a_call_and_is_never_asked_for_is_forgotten() -> None:
    writer = Writer(id="msg", model="m", own=True)
    for number in range(20_000):
        block = {"id": f"call{number}", "caller": {"type": "x" * 100}}
        payload = {"type": "content_block_start", "index": 0, "content_block": block}
        writer.write(OpaqueDelta("messages", payload, content=False))
    assert size(writer) < 0.1


def test_thousands_of_calls_that_never_end_cost_each_as_much_as_the_first() -> None:
    """Each new block looked at all of them again."""
    calls = 20_000
    events = [ToolCallDelta(number, f"id{number}", "f", "{") for number in range(calls)]
    writer, _ = writing([Opened("c", "m"), *events])
    assert len(writer._latest) <= 1
    assert writer.write(Finished("stop")).count(b"content_block_stop") == 2 * calls


def test_a_call_that_is_not_whole_when_another_begins_ends_last() -> None:
    _, stream = writing(
        [
            Opened("c", "m"),
            ToolCallDelta(0, "a", "f", '{"x": ['),
            ToolCallDelta(1, "b", "g", "{}"),
            ToolCallDelta(0, arguments="1]}"),
            ToolCallDelta(2, "c", "h", "{}"),
            Finished("tool_calls"),
        ]
    )
    ends = [
        line for line in stream.split(b"\n") if b"content_block_stop" in line and line.startswith(b"data")
    ]
    assert [json.loads(line[6:])["index"] for line in ends] == [1, 0, 2]


def test_a_block_of_the_formats_own_is_joined_once() -> None:
    """Texts in pieces were joined at every piece."""
    reader, pieces = Reader(), 40_000
    reader.feed(_sse({"type": "message_start", "message": {"id": "m", "model": "c"}}))
    reader.feed(
        _sse({"type": "content_block_start", "index": 0, "content_block": {"type": "novel", "text": "<"}})
    )
    piece = _sse(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "novel_delta", "text": "x" * 20}}
    )
    for _ in range(pieces):
        assert reader.feed(piece) == []
    block = reader._blocks[0]
    assert block.block == {"type": "novel", "text": "<"}  # type: ignore[union-attr]
    (told,) = reader.feed(_sse({"type": "content_block_stop", "index": 0}))
    assert told == OpaqueDelta("messages", {"type": "novel", "text": "<" + "x" * 20 * pieces})


def test_a_field_that_comes_in_pieces_and_anew_is_the_new_one() -> None:
    reader = Reader()
    reader.feed(_sse({"type": "content_block_start", "index": 0, "content_block": {"type": "novel"}}))
    events = []
    for fields in ({"a": "x"}, {"a": "y"}, {"a": [1]}, {"a": [2], "b": "z"}, {"b": None}):
        events += reader.feed(
            _sse({"type": "content_block_delta", "index": 0, "delta": {"type": "d", **fields}})
        )
    events += reader.feed(_sse({"type": "content_block_stop", "index": 0}))
    assert events == [OpaqueDelta("messages", {"type": "novel", "a": [2], "b": "z"})]


def _sse(event: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def test_an_ending_told_twice_is_told_to_clients_once() -> None:
    writer, stream = writing([Opened("c", "m")])
    for sequence in ("first", "second"):
        told = {"type": "message_delta", "delta": {"stop_sequence": sequence}}
        stream += writer.write(OpaqueDelta("messages", told, content=False))
    stream += writer.write(Finished("stop", vendor_reason="stop_sequence")) + writer.close()
    assert accumulated(stream)["stop_sequence"] == "second"

"""The SSE decoder against the HTML standard's rules, and against a slow oracle that sees all bytes at once."""

import re
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.wire.sse import OversizedEvent, ServerSentEvent, SSEDecoder


def decode(*pieces: bytes, limit: int = 1 << 20) -> list[tuple[str | None, bytes]]:
    decoder = SSEDecoder(limit)
    return [(event.event, event.data) for piece in pieces for event in decoder.feed(piece)]


def feed_all(decoder: SSEDecoder, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        decoder.feed(piece)


def oracle(body: bytes) -> list[tuple[str | None, bytes]]:
    events: list[tuple[str | None, bytes]] = []
    kind, data = "", b""
    lines = re.split(rb"\r\n|\r|\n", body.removeprefix(b"\xef\xbb\xbf"))[:-1]
    for line in lines:
        name, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if not line:
            if data:
                events.append((kind or None, data[:-1]))
            kind, data = "", b""
        elif name == b"data":
            data += value + b"\n"
        elif name == b"event":
            kind = value.decode("utf-8", "replace")
    return events


alphabet = st.sampled_from(
    [
        b"data",
        b"event",
        b"id",
        b"retry",
        b":",
        b": ",
        b" ",
        b"\r",
        b"\n",
        b"\r\n",
        b"\n\n",
        b"x",
        b"\xef\xbb\xbf",
        "é€😀".encode(),
        b"\0",
        b"7",
        b"data: a\n\n",
        b"\xff",
    ]
)
bodies = st.lists(alphabet, max_size=60).map(b"".join)


@given(bodies)
def test_it_decodes_what_the_standard_says(body: bytes) -> None:
    assert decode(body) == oracle(body)


@given(bodies, st.lists(st.integers(0, 200)), st.integers(1, 20))
def test_where_the_network_cuts_makes_no_difference(body: bytes, cuts: list[int], limit: int) -> None:
    def run(pieces: list[bytes]) -> tuple[object, ...]:
        decoder = SSEDecoder(limit)
        events: list[ServerSentEvent] = []
        try:
            for piece in pieces:
                events += decoder.feed(piece)
            residue = decoder.close()
        except OversizedEvent:
            return events, "oversized"
        return events, residue, decoder.comments, decoder.last_event_id, decoder.retry

    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[a:b] for a, b in pairwise(edges)]
    assert run(pieces) == run([body]) == run([bytes([byte]) for byte in body])


def test_fields_other_than_data_are_kept_in_the_decoder() -> None:
    decoder = SSEDecoder()
    assert (decoder.last_event_id, decoder.retry) == (None, None)
    decoder.feed(b"id: 7\nretry: 1500\n\nid: a\0b\nretry: soon\n\n")
    assert (decoder.last_event_id, decoder.retry) == ("7", 1500)


def test_comments_are_counted_and_never_delivered() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b": OPENROUTER PROCESSING\n\n:\n\ndata: x\n\n") == [ServerSentEvent(None, b"x")]
    assert decoder.comments == 2


def test_an_event_type_lasts_for_one_event() -> None:
    assert decode(b"event: ping\n\ndata: a\n\nevent: delta\ndata: b\n\ndata: c\n\n") == [
        (None, b"a"),
        ("delta", b"b"),
        (None, b"c"),
    ]


def test_one_space_after_the_colon_belongs_to_the_format() -> None:
    assert decode(b"data:a\n\ndata: b\n\ndata:  c\n\ndata\n\n") == [
        (None, b"a"),
        (None, b"b"),
        (None, b" c"),
        (None, b""),
    ]


@pytest.mark.parametrize(
    ("body", "residue"),
    [
        (b"data: a\n\n", False),
        (b"data: [DONE]\n", True),
        (b"data: [DONE]", True),
        (b"event: x\n", True),
        (b"data: a\r\n\r", False),
        (b": keep-alive", False),
        (b"\xef\xbb\xbf", False),
        (b"", False),
    ],
)
def test_close_tells_whether_the_stream_ended_inside_an_event(body: bytes, residue: bool) -> None:
    decoder = SSEDecoder()
    decoder.feed(body)
    assert decoder.close() is residue


def test_an_endless_line_is_refused_at_the_limit() -> None:
    decoder = SSEDecoder(1000)
    with pytest.raises(OversizedEvent) as caught:
        feed_all(decoder, [b"x" * 10] * 101)
    assert caught.value.limit == 1000


def test_an_event_of_endlessly_many_lines_is_refused_at_the_limit() -> None:
    decoder = SSEDecoder(1000)
    with pytest.raises(OversizedEvent):
        feed_all(decoder, [b"data:\n"] * 1002)


def test_events_before_an_oversized_one_are_delivered_first() -> None:
    decoder = SSEDecoder(10)
    assert decoder.feed(b"data: a\n\ndata: 0123456789\n\ndata: c\n\n") == [ServerSentEvent(None, b"a")]
    for _ in range(2):
        with pytest.raises(OversizedEvent):
            decoder.feed(b"data: d\n\n")
    with pytest.raises(OversizedEvent):
        decoder.close()


def test_an_event_of_just_the_limit_passes() -> None:
    assert decode(b"data: 0123\n\n", limit=10) == [(None, b"0123")]


def test_a_comment_every_second_for_a_day_is_no_oversized_event() -> None:
    decoder = SSEDecoder(100)
    for _ in range(86_400):
        decoder.feed(b": keep-alive\n")
    assert decoder.feed(b"data: x\n\n") == [ServerSentEvent(None, b"x")]

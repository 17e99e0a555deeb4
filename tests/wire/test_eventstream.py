"""Amazon's event stream against botocore's decoder, cut anywhere, and spoiled."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.wire.eventstream import (
    CorruptMessage,
    EventMessage,
    EventStreamDecoder,
    OversizedMessage,
)

from tests.fakes.eventstream import event, framed, text_headers

WHOLE = event("a", {"x": 1}) + event("b", {}) + event("c", {"y": "é"})

_names = st.text("abc:-", min_size=1, max_size=8)


def _header(name: str, kind: int, value: bytes) -> bytes:
    return bytes([len(name)]) + name.encode() + bytes([kind]) + value


_values = st.one_of(
    st.sampled_from([(0, b""), (1, b"")]),
    st.integers(-128, 127).map(lambda n: (2, struct.pack(">b", n))),
    st.integers(-(2**15), 2**15 - 1).map(lambda n: (3, struct.pack(">h", n))),
    st.integers(-(2**31), 2**31 - 1).map(lambda n: (4, struct.pack(">i", n))),
    st.integers(-(2**63), 2**63 - 1).map(lambda n: (5, struct.pack(">q", n))),
    st.binary(max_size=20).map(lambda data: (6, struct.pack(">H", len(data)) + data)),
    st.text(max_size=20).map(lambda text: (7, struct.pack(">H", len(text.encode())) + text.encode())),
    st.integers(0, 2**62).map(lambda n: (8, struct.pack(">q", n))),
    st.binary(min_size=16, max_size=16).map(lambda data: (9, data)),
)
_headers = st.dictionaries(_names, _values, max_size=4).map(
    lambda table: b"".join(_header(name, kind, value) for name, (kind, value) in table.items())
)
bodies = st.lists(st.builds(framed, _headers, st.binary(max_size=60)), max_size=4).map(b"".join)


def read(decoder: EventStreamDecoder, pieces: list[bytes]) -> list[EventMessage]:
    return [message for piece in pieces for message in decoder.feed(piece)]


@given(bodies, st.lists(st.integers(0, 400)))
def test_where_the_network_cuts_makes_no_difference(body: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    decoder = EventStreamDecoder()
    assert read(decoder, [body[a:b] for a, b in pairwise(edges)]) == read(EventStreamDecoder(), [body])
    assert decoder.close() is False


@given(bodies)
def test_it_reads_what_botocore_reads(body: bytes) -> None:
    oracle = pytest.importorskip("botocore.eventstream").EventStreamBuffer()
    oracle.add_data(body)
    theirs: list[tuple[dict[str, Any], bytes]] = [(each.headers, each.payload) for each in oracle]
    assert [(each.headers, each.payload) for each in read(EventStreamDecoder(), [body])] == theirs


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_byte_that_changed_on_the_way_is_noticed(at: int, by: int) -> None:
    spoiled = bytearray(WHOLE)
    spoiled[at] ^= by
    decoder = EventStreamDecoder()
    with pytest.raises((CorruptMessage, OversizedMessage)):  # noqa: PT012
        found = read(decoder, [bytes(spoiled)])
        assert len(found) < 3
        if decoder.close():
            raise CorruptMessage("a length beyond the end")


@given(st.integers(1, len(WHOLE) - 1))
def test_an_end_within_a_message_is_noticed(at: int) -> None:
    decoder = EventStreamDecoder()
    found = read(decoder, [WHOLE[:at]])
    assert decoder.close() is (at not in ends())
    assert found == read(EventStreamDecoder(), [WHOLE])[: len(found)]


def ends() -> list[int]:
    one, two = len(event("a", {"x": 1})), len(event("b", {}))
    return [one, one + two]


def test_a_message_beyond_the_limit_is_refused_by_its_announcement_alone() -> None:
    big = event("big", {"x": "y" * 500})
    decoder = EventStreamDecoder(200)
    assert [message.text(":event-type") for message in decoder.feed(event("a", {}) + big[:12])] == ["a"]
    with pytest.raises(OversizedMessage, match="200 bytes"):
        decoder.feed(big[12:])
    with pytest.raises(OversizedMessage):
        decoder.close()


def _cut_short() -> bytes:
    return framed(text_headers({"name": "value"})[:-2], b"")


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda: framed(b"\x05name", b""),
        lambda: framed(_header("a", 99, b""), b""),
        lambda: framed(_header("a", 7, struct.pack(">H", 2) + b"\xff\xff"), b""),
        lambda: framed(_header("a", 4, b"\0"), b""),
        _cut_short,
    ],
)
def test_headers_that_cannot_be_read_make_the_stream_worthless(spoiled: Callable[[], bytes]) -> None:
    with pytest.raises(CorruptMessage, match="headers cannot be read"):
        EventStreamDecoder().feed(spoiled())


def test_a_header_that_is_no_text_is_no_word() -> None:
    (message,) = EventStreamDecoder().feed(framed(_header("n", 4, struct.pack(">i", 7)), b"x"))
    assert (message.headers, message.text("n"), message.text("m")) == ({"n": 7}, "", "")

"""The line splitter against `bytes.split`, cut anywhere."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.wire.ndjson import LineSplitter, OversizedLine

bodies = st.lists(st.sampled_from([b"a", b"{}", b"\r\n", b"\n", b"\r", "é".encode()]), max_size=40).map(
    b"".join
)


def feed_all(splitter: LineSplitter, pieces: list[bytes]) -> None:
    for piece in pieces:
        splitter.feed(piece)


@given(bodies, st.lists(st.integers(0, 80)))
def test_where_the_network_cuts_makes_no_difference(body: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    splitter = LineSplitter()
    lines = [line for a, b in pairwise(edges) for line in splitter.feed(body[a:b])]
    *whole, last = body.split(b"\n")
    assert lines == [line for line in (line.removesuffix(b"\r") for line in whole) if line]
    assert splitter.close() == (last.removesuffix(b"\r") or None)


@given(bodies, st.integers(1, 8))
def test_an_overlong_line_is_refused_after_those_before_it(body: bytes, limit: int) -> None:
    def run(pieces: list[bytes]) -> list[bytes | None]:
        splitter = LineSplitter(limit)
        lines: list[bytes | None] = []
        try:
            for piece in pieces:
                lines += splitter.feed(piece)
            splitter.close()
        except OversizedLine:
            lines.append(None)
        return lines

    assert run([body]) == run([bytes([byte]) for byte in body])


def test_an_endless_line_is_refused_at_the_limit() -> None:
    splitter = LineSplitter(100)
    with pytest.raises(OversizedLine) as caught:
        feed_all(splitter, [b"x"] * 102)
    assert caught.value.limit == 100

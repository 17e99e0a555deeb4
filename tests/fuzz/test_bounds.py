"""What has no end is refused at a bound, what is held stays bounded, and twice the input is about twice the work."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Final

import httpx
import pytest
from llm_dispatcher.runtime.dialects import Dialect
from llm_dispatcher.runtime.dialects.formats.generate_content.elements import ElementSplitter
from llm_dispatcher.runtime.wire.client_parser import MAX_HEAD_BYTES, ResponseParser
from llm_dispatcher.runtime.wire.ndjson import LineSplitter, OversizedLine
from llm_dispatcher.runtime.wire.server_parser import BadRequest, RequestParser
from llm_dispatcher.runtime.wire.sse import MAX_EVENT_BYTES, OversizedEvent, SSEDecoder

from . import seeds
from .guard import calls, cpu_limit, held
from .targets_dialects import dialects

MIB: Final = 1 << 20
DIALECTS: Final = dict(dialects())
FORMATS: Final = {dialect.format: dialect for dialect in DIALECTS.values()}


def endless(piece: bytes, size: int = 4096) -> Iterator[bytes]:
    """The same bytes over and over, in pieces of about `size`."""
    while True:
        yield piece * max(1, size // len(piece))


def some(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    """The first `most` bytes of it, and a little more."""
    for piece in pieces:
        yield piece
        most -= len(piece)
        if most < 0:
            return


# --- HTTP ---------------------------------------------------------------------------------------

CHUNKED: Final = b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("start", "unit"),
    [
        (b"", b"G"),
        (b"GET /", b"x"),
        (b"GET / HTTP/1.1\r\n", b"a: b\r\n"),
        (b"GET / HTTP/1.1\r\na: ", b" "),
        (b"GET / HTTP/1.1\r\n", b"a"),
        (CHUNKED, b"0"),
        (CHUNKED + b"1;", b"x"),
        (CHUNKED + b"0\r\n", b"a: b\r\n"),
        (CHUNKED, b"1\r\nx\r\n"),
    ],
)
def test_a_request_without_an_end_is_refused_and_never_piles_up(start: bytes, unit: bytes) -> None:
    parser = RequestParser(most_head=64 * 1024, most_headers=100, most_body=64 * 1024)
    parser.feed(start)
    head = None
    with cpu_limit(1.0), pytest.raises(BadRequest) as caught:
        for piece in some(endless(unit), MIB):
            parser.feed(piece)
            head = head or parser.head()
            while head is not None and parser.body():
                pass
            assert held(parser) < 512 * 1024
    assert caught.value.status in (400, 413, 431)


def test_empty_lines_before_a_request_are_dropped() -> None:
    parser = RequestParser(most_head=1000, most_headers=100, most_body=0)
    for piece in some(endless(b"\r\n"), MIB):
        parser.feed(piece)
        assert parser.head() is None
        assert parser.buffered == 0


@pytest.mark.parametrize(
    ("start", "unit"),
    [
        (b"HTTP/1.1 200 ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
        (b"HTTP/1.1 200 OK\r\na: ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"a"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;", b"x"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"0"),
    ],
)
def test_a_response_without_an_end_is_refused_and_never_piles_up(start: bytes, unit: bytes) -> None:
    parser = ResponseParser()
    with cpu_limit(1.0), pytest.raises(httpx.RemoteProtocolError):
        for piece in some(endless(start or unit), 1) if start else ():
            parser.feed(piece[: len(start)])
        for piece in some(endless(unit), MIB):
            parser.feed(piece)
            parser.take()
            assert held(parser) < 4 * MAX_HEAD_BYTES


# --- events, lines, elements --------------------------------------------------------------------


@pytest.mark.parametrize(
    "unit", [b"x", b"data: x\n", b"data:\n", b"id: " + b"x" * 200 + b"\n", b"event: y\n", b": c\n", b"\r"]
)
@pytest.mark.parametrize("size", [1, 4096])
def test_server_sent_events_never_hold_more_than_their_limit(unit: bytes, size: int) -> None:
    limit = 2000 if size == 1 else 64 * 1024
    decoder = SSEDecoder(limit)
    try:
        for piece in some(endless(unit, size), 8 * limit):
            decoder.feed(piece)
    except OversizedEvent:
        pass
    assert held(decoder) < 40 * limit


def test_lines_never_hold_more_than_their_limit() -> None:
    splitter = LineSplitter(64 * 1024)
    with pytest.raises(OversizedLine):
        for piece in some(endless(b"x"), MIB):
            splitter.feed(piece)
            assert held(splitter) < 256 * 1024


@pytest.mark.parametrize("unit", [b"[", b"{", b'"x",', b"[1],", b" ", b"\\"])
def test_elements_never_hold_more_than_their_limit(unit: bytes) -> None:
    splitter = ElementSplitter(64 * 1024)
    with cpu_limit(2.0):
        for piece in some([b"[[", *islice(endless(unit), 100)], MIB):
            splitter.feed(piece)
            assert held(splitter) < 256 * 1024


# --- decoders -----------------------------------------------------------------------------------

_FRUGAL: Final = 256 * 1024
"""Bytes that a decoder may remember of a stream of half a MiB, without having to be tried further."""
_MOST_HELD: Final = 72 * MIB
"""The largest of the declared bounds (64 MiB of a whole answer), and something for objects."""


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "unit",
    [b"x", b"data: x\n", b"data: {", b"[", b'{"a":', b"[[", b": " + b"c" * 60 + b"\n", b"\n", b'data: "'],
)
def test_a_decoder_fed_without_end_holds_no_more_than_an_event(format: str, unit: bytes) -> None:
    decoder = FORMATS[format].decoder()
    with cpu_limit(10.0):
        for piece in some(endless(unit, 1 << 18), MIB + MIB // 4):
            decoder.feed(piece)
    assert held(decoder) < 4 * MAX_EVENT_BYTES
    decoder.close()
    assert decoder.finished


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_a_whole_answer_without_end_in_the_place_of_a_stream_is_given_up(format: str) -> None:
    assert _ends(FORMATS[format], some([b'{"a":"', *islice(endless(b"x", MIB), 80)], 80 * MIB))


def events_of(format: str) -> list[tuple[bytes, Any]]:
    """The built-in events of a format: what stands before their data, and the data."""
    found = []
    for stream in seeds.streams(format)[:2]:
        for event in re.split(rb"\n\n", stream):
            head, mark, data = event.partition(b"data: ")
            if mark and data != b"[DONE]":
                found.append((head, json.loads(data)))
    return found


_MARK: Final = "@@new@@"


def paths(value: Any) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    yield ()
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in items:
        for path in paths(inner):
            yield (step, *path)


def marked(value: Any, path: tuple[Any, ...], *, name: bool) -> Any:
    """`value` with a mark at `path`: in the place of a number or a text, or as the name of a further field."""
    if path:
        step, *rest = path
        inner = marked(value[step], tuple(rest), name=name)
        return (
            {**value, step: inner} if isinstance(value, dict) else [*value[:step], inner, *value[step + 1 :]]
        )
    if name:
        return {**value, _MARK: "@@long@@"} if isinstance(value, dict) else value
    return f"{_MARK}@@long@@" if isinstance(value, str) else _MARK if type(value) is int else value


def templates(format: str) -> Iterator[tuple[str, bytes]]:
    """Events in which something is marked, to be ever new."""
    for head, value in events_of(format):
        for path in paths(value):
            for name in (False, True):
                text = json.dumps(marked(value, path, name=name)).encode()
                if _MARK.encode() in text:
                    # A number stands without quotes.
                    bare = text.replace(b'"@@new@@"', b"@@new@@") if not name else text
                    yield f"{path} of {str(value)[:90]}", head + b"data: " + bare + b"\n\n"


def ever_new(template: bytes, filler: bytes, count: int) -> Iterator[bytes]:
    """The event again and again, each time with another number or name."""
    before, new, after = template.partition(_MARK.encode())
    after = after.replace(b"@@long@@", filler)
    for number in range(count):
        yield (
            b"%b%d%b" % (before, number, after)
            if new and before[-1:] != b'"'
            else b"%bn%d%b"
            % (
                before,
                number,
                after,
            )
        )


def remembered(dialect: Dialect, template: bytes, filler: bytes, count: int) -> int:
    """Bytes that a decoder holds more after a stream of ever new events than before it."""
    decoder = dialect.decoder()
    before = held(decoder)
    for piece in ever_new(template, filler, count):
        decoder.feed(piece)
    return held(decoder) - before


def _ends(dialect: Dialect, pieces: Iterable[bytes]) -> bool:
    """Whether the decoder gives up, or has stayed within the largest of the declared bounds."""
    decoder = dialect.decoder()
    for piece in pieces:
        decoder.feed(piece)
        if decoder.finished:
            return True
    return held(decoder) < _MOST_HELD


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_ever_new_names_and_long_values_do_not_fill_the_memory(format: str) -> None:
    dialect = FORMATS[format]
    for where, template in templates(format):
        if remembered(dialect, template, b"x" * 8192, 64) > _FRUGAL:
            assert _ends(dialect, ever_new(template, b"x" * (MIB * 3 // 4), 110)), where


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_ever_new_numbers_do_not_fill_the_memory(format: str) -> None:
    dialect = FORMATS[format]
    for where, template in templates(format):
        if remembered(dialect, template, b"", 500) > _FRUGAL // 4:
            assert _ends(dialect, ever_new(template, b"", 250_000)), where


# --- work ---------------------------------------------------------------------------------------


def doubled(work: Callable[[int], object]) -> float:
    """How many times the calls of a size are the calls of twice that size."""
    work(10)
    return calls(partial(work, 4000)) / calls(partial(work, 2000))


def _requests(number: int) -> None:
    parser = RequestParser(most_head=10**6, most_headers=100, most_body=10**6)
    for byte in (b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n" % number, *[b"x"] * number):
        parser.feed(byte)
        parser.head() if parser.body_done else parser.body()


def _responses(number: int) -> None:
    parser = ResponseParser()
    for piece in (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * number):
        parser.feed(piece)
    parser.take()


def _byte_by_byte(make: Callable[[], Any], number: int) -> None:
    decoder = make()
    for _ in range(number):
        decoder.feed(b"x")
    decoder.feed(b"\n\n")


def _answer(dialect: Dialect, number: int) -> None:
    decoder = dialect.decoder()
    events = events_of(dialect.format)
    pieces = [head + b"data: " + json.dumps(value).encode() + b"\n\n" for head, value in events[:-1]]
    for piece in islice((piece for _ in range(number) for piece in pieces), number):
        decoder.feed(piece)
    decoder.close()


WORK: Final[dict[str, Callable[[int], object]]] = {
    "a request, byte by byte": _requests,
    "a response in small chunks": _responses,
    "a line of an event, byte by byte": partial(_byte_by_byte, SSEDecoder),
    "a line, byte by byte": partial(_byte_by_byte, LineSplitter),
    "an element, byte by byte": partial(_byte_by_byte, partial(ElementSplitter, MIB)),
    **{f"an answer of the format {name}": partial(_answer, dialect) for name, dialect in FORMATS.items()},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WORK)
def test_twice_the_input_is_about_twice_the_work(name: str) -> None:
    assert doubled(WORK[name]) < 2.3

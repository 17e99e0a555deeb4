"""Requests are read strictly: whatever two readers could take for two things is refused."""

from __future__ import annotations

import itertools
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.wire.server_parser import BadRequest, RequestParser

from tests.fuzz.guard import cpu_limit

GET = b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n"
POST = b"POST /y HTTP/1.1\r\nhost: h\r\n"
CHUNKED_LINE = b"transfer-encoding: chunked\r\n"


def parse(*pieces: bytes, most_body: int = 1000) -> list[tuple[str, bytes, bytes]]:
    """Method, target and body of every complete request."""
    parser = RequestParser(most_head=2000, most_headers=20, most_body=most_body)
    found: list[tuple[str, bytes, bytes]] = []
    head = None
    body = b""
    for piece in pieces:
        parser.feed(piece)
        while True:
            if head is None:
                head = parser.head()
                if head is None:
                    break
                body = b""
            got = parser.body()
            if got is None:
                break
            body += got
            if parser.body_done:
                found.append((head.method, head.target, body))
                head = None
    return found


SHAPES = {
    "both lengths": (400, POST + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    "two lengths": (400, POST + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd"),
    "signed length": (400, POST + b"content-length: +3\r\n\r\nabc"),
    "list of lengths": (400, POST + b"content-length: 3, 3\r\n\r\nabc"),
    "two codings": (400, POST + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    "other coding": (400, POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "identity": (400, POST + b"transfer-encoding: identity\r\n\r\n"),
    "chunked in 1.0": (400, b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    "folding": (400, b"GET / HTTP/1.1\r\nhost: h\r\na: b\r\n c\r\n\r\n"),
    "bare line feed": (400, b"GET / HTTP/1.1\nhost: h\n\n"),
    "bare line feed in a header": (400, b"GET / HTTP/1.1\r\nhost: h\na: b\r\n\r\n"),
    "bare carriage return": (400, b"GET / HTTP/1.1\r\nhost: h\ra: b\r\n\r\n"),
    "space before colon": (400, b"GET / HTTP/1.1\r\nhost : h\r\n\r\n"),
    "no colon": (400, b"GET / HTTP/1.1\r\nhost: h\r\nabc\r\n\r\n"),
    "null": (400, b"GET / HTTP/1.1\r\nhost: h\r\na: b\0c\r\n\r\n"),
    "no host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two hosts": (400, b"GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n"),
    "bad method": (400, b"G\x01T / HTTP/1.1\r\nhost: h\r\n\r\n"),
    "bad target": (400, b"GET x HTTP/1.1\r\nhost: h\r\n\r\n"),
    "space in target": (400, b"GET /a b HTTP/1.1\r\nhost: h\r\n\r\n"),
    "other version": (505, b"GET / HTTP/2.0\r\nhost: h\r\n\r\n"),
    "no version": (400, b"GET /\r\nhost: h\r\n\r\n"),
    "tls on a plain port": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    "large head": (431, b"GET / HTTP/1.1\r\nhost: h\r\na: " + b"x" * 3000),
    "many headers": (431, b"GET / HTTP/1.1\r\nhost: h\r\n" + b"a: b\r\n" * 21 + b"\r\n"),
    "large body": (413, POST + b"content-length: 1001\r\n\r\n"),
    "large chunks": (413, POST + b"transfer-encoding: chunked\r\n\r\n3e9\r\n"),
    "expectation": (417, POST + b"expect: miracles\r\ncontent-length: 1\r\n\r\na"),
    **{
        f"chunk size {size!r}": (
            400,
            POST + b"transfer-encoding: chunked\r\n\r\n" + size + b"\r\nabc\r\n0\r\n\r\n",
        )
        for size in (b"-3", b"+3", b"0x3", b" 3", b"3 ", b"", b"g", b"f" * 17, b"3\n")
    },
    "chunk too long": (400, POST + b"transfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"),
    # Two lengths, or one that is no plain number.
    "chunked before a length": (400, POST + CHUNKED_LINE + b"content-length: 3\r\n\r\n0\r\n\r\n"),
    "two lengths, one in capitals": (400, POST + b"content-length: 3\r\nCONTENT-LENGTH: 5\r\n\r\nabcde"),
    **{
        f"length {value!r}": (400, POST + b"content-length: " + value + b"\r\n\r\nabc")
        for value in (
            b"-3",
            b"0x3",
            b"3_0",
            b"3 0",
            b"3.0",
            b"3e0",
            b"",
            b"\xb2",
            b"1" * 16,
            b"3;",
            b"three",
            b"3\x0b",
        )
    },
    # Codings that one reader takes for chunked and another does not.
    **{
        f"coding {value!r}": (400, POST + b"transfer-encoding: " + value + b"\r\n\r\n0\r\n\r\n")
        for value in (
            b"xchunked",
            b"chunked, identity",
            b"chunked, chunked",
            b"chunked;q=1",
            b"chunked,",
            b", chunked",
            b'"chunked"',
            b"",
            b"chunked\x0b",
            b"chunk\xc3\xa9d",
            b"identity, chunked",
            b"chun ked",
            b"\x0cchunked",
        )
    },
    "chunked and identity in two lines": (
        400,
        POST + CHUNKED_LINE + b"transfer-encoding: identity\r\n\r\n0\r\n\r\n",
    ),
    "chunked and a length in 1.0": (
        400,
        b"POST / HTTP/1.0\r\n" + CHUNKED_LINE + b"content-length: 3\r\n\r\nabc",
    ),
    # White space and control characters where a name or a line ends for some.
    "space before the first name": (400, b"GET / HTTP/1.1\r\n host: h\r\n\r\n"),
    "space before a name": (400, b"GET / HTTP/1.1\r\nhost: h\r\n content-length: 3\r\n\r\nabc"),
    "tab before a name": (400, b"GET / HTTP/1.1\r\nhost: h\r\n\ttransfer-encoding: chunked\r\n\r\n"),
    "tab before a colon": (400, POST + b"content-length\t: 3\r\n\r\nabc"),
    "space in a name": (400, POST + b"content length: 3\r\n\r\nabc"),
    "control character in a name": (400, POST + b"content\x00-length: 3\r\n\r\nabc"),
    "letter of another alphabet in a name": (400, POST + b"c\xc3\xb6ntent-length: 3\r\n\r\nabc"),
    "empty name": (400, POST + b": 3\r\n\r\n"),
    "carriage return in a value": (400, POST + b"a: b\rcontent-length: 3\r\n\r\nabc"),
    "vertical tab in a value": (400, POST + b"a: b\x0bc\r\n\r\n"),
    "delete in a value": (400, POST + b"a: b\x7fc\r\n\r\n"),
    "folding with a tab": (400, b"GET / HTTP/1.1\r\nhost: h\r\na: b\r\n\tc\r\n\r\n"),
    "folding of a coding": (400, POST + b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    "line feed and then an end": (400, b"GET / HTTP/1.1\r\nhost: h\n\r\n\r\n"),
    "two line feeds as an end": (400, b"GET / HTTP/1.1\r\nhost: h\r\n\n"),
    # Targets and hosts that lead elsewhere.
    "another host in the target": (400, b"GET http://a/ HTTP/1.1\r\nhost: b\r\n\r\n"),
    "another port in the target": (400, b"GET http://h:81/ HTTP/1.1\r\nhost: h:80\r\n\r\n"),
    "a user in the target": (400, b"GET http://u@h/ HTTP/1.1\r\nhost: h\r\n\r\n"),
    "no host in the target": (400, b"GET http:///x HTTP/1.1\r\nhost: h\r\n\r\n"),
    "another scheme": (400, b"GET ftp://h/ HTTP/1.1\r\nhost: h\r\n\r\n"),
    "a scheme in the middle": (400, b"GET x/http://h/ HTTP/1.1\r\nhost: h\r\n\r\n"),
    "a tunnel": (400, b"CONNECT h:443 HTTP/1.1\r\nhost: h:443\r\n\r\n"),
    "an asterisk to get": (400, b"GET * HTTP/1.1\r\nhost: h\r\n\r\n"),
    "a fragment": (400, b"GET /a#b HTTP/1.1\r\nhost: h\r\n\r\n"),
    "a tab in the request line": (400, b"GET\t/ HTTP/1.1\r\nhost: h\r\n\r\n"),
    "two spaces in the request line": (400, b"GET  / HTTP/1.1\r\nhost: h\r\n\r\n"),
    "a space after the version": (400, b"GET / HTTP/1.1 \r\nhost: h\r\n\r\n"),
    "a space before the method": (400, b" GET / HTTP/1.1\r\nhost: h\r\n\r\n"),
    "the version in small letters": (400, b"GET / http/1.1\r\nhost: h\r\n\r\n"),
    "a version of one number": (400, b"GET / HTTP/1\r\nhost: h\r\n\r\n"),
    "a version of three digits": (400, b"GET / HTTP/1.11\r\nhost: h\r\n\r\n"),
    "the preface of HTTP/2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    **{
        f"host {value!r}": (400, b"GET / HTTP/1.1\r\nhost: " + value + b"\r\n\r\n")
        for value in (
            b"a b",
            b"a/b",
            b"u@h",
            b"h:x",
            b"h:80:81",
            b"a,\x80",
            b"[::1",
            b"h\\i",
            b"h?x",
            b"h#x",
            b"h:999999",
        )
    },
    # Chunks.
    **{
        f"a chunk's line {line!r}": (400, POST + CHUNKED_LINE + b"\r\n" + line + b"\r\nabc\r\n0\r\n\r\n")
        for line in (
            b"3_0",
            b"3.0",
            b"\t3",
            b"3\x00",
            b"3;a\x00",
            b"3;a\rb",
            b"3;a\n",
            b"\xef\xbc\x93",
            b"3 a",
            b";a=3",
            b"0" * 16,
        )
    },
    "a chunk ends with a line feed": (400, POST + CHUNKED_LINE + b"\r\n3\r\nabc\n0\r\n\r\n"),
    "a chunk's line ends with a line feed": (400, POST + CHUNKED_LINE + b"\r\n3\nabc\r\n0\r\n\r\n"),
    "a chunk's line ends with a carriage return": (400, POST + CHUNKED_LINE + b"\r\n3\rabc\r\n0\r\n\r\n"),
    "a chunk is too short": (400, POST + CHUNKED_LINE + b"\r\n4\r\nabc\r\n0\r\n\r\n"),
    "an extension without end": (400, POST + CHUNKED_LINE + b"\r\n3;" + b"x" * 300),
    "extensions that outweigh the body": (
        400,
        POST + CHUNKED_LINE + b"\r\n" + (b"1;" + b"x" * 200 + b"\r\na\r\n") * 100 + b"0\r\n\r\n",
    ),
    "a bad trailer": (400, POST + CHUNKED_LINE + b"\r\n0\r\na b: c\r\n\r\n"),
    "a folded trailer": (400, POST + CHUNKED_LINE + b"\r\n0\r\na: b\r\n c\r\n\r\n"),
    "endless trailers": (431, POST + CHUNKED_LINE + b"\r\n0\r\n" + b"a: b\r\n" * 2000),
}


@pytest.mark.parametrize("name", SHAPES)
def test_whatever_could_be_read_in_two_ways_is_refused(name: str) -> None:
    status, raw = SHAPES[name]
    with pytest.raises(BadRequest) as caught:
        parse(raw)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n", ("OPTIONS", b"*", b"")),
        (b"GET HTTP://H:80/x HTTP/1.1\r\nhost: h:80\r\n\r\n", ("GET", b"HTTP://H:80/x", b"")),
        (b"GET /a?b=http://c/d HTTP/1.1\r\nhost: [::1]:4000\r\n\r\n", ("GET", b"/a?b=http://c/d", b"")),
        (b"GET //a HTTP/1.0\r\n\r\n", ("GET", b"//a", b"")),
        (b"GET / HTTP/1.1\r\nhost:\r\n\r\n", ("GET", b"/", b"")),
        (POST + b"content-length: 3\r\ncontent-length: 3\r\n\r\nabc", ("POST", b"/y", b"abc")),
        (POST + b"Content-Length:\t003 \r\n\r\nabc", ("POST", b"/y", b"abc")),
        (POST + b"Transfer-Encoding: CHUNKED\r\n\r\n03;a=b\r\nabc\r\n00\r\n\r\n", ("POST", b"/y", b"abc")),
        (POST + CHUNKED_LINE + b"\r\n" + b"1\r\na\r\n" * 900 + b"0\r\n\r\n", ("POST", b"/y", b"a" * 900)),
    ],
)
def test_what_is_unusual_but_clear_is_read(raw: bytes, found: tuple[str, bytes, bytes]) -> None:
    assert parse(raw) == [found]


GOOD = (
    GET
    + b"\r\n"
    + POST
    + b"content-length: 3\r\n\r\nabc"
    + POST
    + b"transfer-encoding: chunked\r\n\r\n2;ext=1\r\nab\r\n1\r\nc\r\n0\r\ntrailer: x\r\n\r\n"
    + b"HEAD http://h/abs HTTP/1.1\r\nhost: h\r\n\r\n"
)


@given(cuts=st.sets(st.integers(1, len(GOOD) - 1), max_size=10))
def test_where_the_network_cuts_makes_no_difference(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(GOOD)]
    assert parse(*(GOOD[a:b] for a, b in itertools.pairwise(edges))) == [
        ("GET", b"/x", b""),
        ("POST", b"/y", b"abc"),
        ("POST", b"/y", b"abc"),
        ("HEAD", b"http://h/abs", b""),
    ]


@given(
    junk=st.binary(max_size=300),
    before=st.sampled_from([b"", GET, POST, POST + b"transfer-encoding: chunked\r\n\r\n"]),
)
def test_junk_is_only_ever_refused(junk: bytes, before: bytes) -> None:
    with suppress(BadRequest):
        parse(before + junk)


@pytest.mark.parametrize(
    "line", [b"a: \0", b"a:" + b" " * 60_000 + b"\0", b" folded"], ids=["value", "spaces", "folded"]
)
def test_a_bad_line_after_many_good_ones_is_refused_at_once(line: bytes) -> None:
    parser = RequestParser(most_head=100_000, most_headers=100, most_body=0)
    parser.feed(b"GET / HTTP/1.1\r\nhost: h\r\n" + b"x: y\r\n" * 60 + line + b"\r\n\r\n")
    with cpu_limit(1.0), pytest.raises(BadRequest) as caught:
        parser.head()
    assert caught.value.status == 400

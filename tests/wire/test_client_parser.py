"""Which responses the client accepts, and that neither cuts nor garbage can confuse it. No I/O."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.wire.client_errors import OversizedHead
from llm_dispatcher.runtime.wire.client_parser import MAX_HEAD_BYTES, MAX_HEADERS, ResponseParser

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def parse(*pieces: bytes, answers_head: bool = False, ended: bool = False) -> tuple[ResponseParser, bytes]:
    parser = ResponseParser()
    parser.start(answers_head=answers_head)
    body = b""
    for piece in pieces:
        if parser.complete:
            break
        parser.feed(piece)
        body += parser.take()
    if ended and not parser.complete:
        parser.end()
    return parser, body


def feed_all(parser: ResponseParser, pieces: list[bytes]) -> None:
    for piece in pieces:
        parser.feed(piece)


@pytest.mark.parametrize(
    ("response", "body", "keep_alive"),
    [
        (OK + b"Content-Length: 2\r\n\r\nok", b"ok", True),
        (OK + b"Content-Length: 2\r\nConnection: close\r\n\r\nok", b"ok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", b"ok", True),
        (CHUNKED + b"2\r\nok\r\n0\r\n\r\n", b"ok", True),
        (CHUNKED + b'2;a="b"\r\nok\r\n0\r\nTrailer: x\r\n\r\n', b"ok", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n", b"", True),
        (OK + b"Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"ok", False),
        (OK + b"Content-Length: 2\r\n\r\nok?", b"ok", False),
        (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok?", b"ok", False),
    ],
)  # fmt: skip
def test_a_legal_response_is_read_to_its_end(response: bytes, body: bytes, keep_alive: bool) -> None:
    parser, received = parse(response)
    assert parser.complete
    assert received == body
    assert parser.keep_alive is keep_alive


def test_without_any_framing_the_body_ends_with_the_connection() -> None:
    parser, body = parse(OK + b"\r\nabc", b"def", ended=True)
    assert (body, parser.complete, parser.keep_alive) == (b"abcdef", True, False)


def test_the_answer_to_head_has_no_body_whatever_it_says() -> None:
    for head in (OK + b"Content-Length: 9\r\n\r\n", CHUNKED, OK + b"Content-Length: 2\r\n\r\nxx"):
        parser, body = parse(head, answers_head=True)
        assert (parser.complete, parser.keep_alive, body) == (True, False, b"")


def test_headers_keep_their_order_and_spelling_without_the_space_around_values() -> None:
    parser, _ = parse(OK + b"X-A:  1 \t\r\nset-cookie: a\r\nSet-Cookie: b\r\nE:\r\nContent-Length: 0\r\n\r\n")
    assert parser.headers == [
        (b"X-A", b"1"),
        (b"set-cookie", b"a"),
        (b"Set-Cookie", b"b"),
        (b"E", b""),
        (b"Content-Length", b"0"),
    ]


REFUSED = {
    "both framings": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    "both framings, other order": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": OK + b"Content-Length: 2, 2\r\n\r\nok",
    "a signed length": OK + b"Content-Length: +2\r\n\r\nok",
    "an overflowing length": OK + b"Content-Length: 99999999999999999999\r\n\r\n",
    "another coding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": OK + b"Transfer-Encoding: identity\r\n\r\nx",
    "chunked twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a hexadecimal prefix": CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n",
    "a space before the chunk size": CHUNKED + b" 2\r\nok\r\n0\r\n\r\n",
    "an overflowing chunk size": CHUNKED + b"fffffffffffffffff\r\nok",
    "a chunk longer than it says": CHUNKED + b"1\r\nok\r\n0\r\n\r\n",
    "bare LF in chunks": CHUNKED + b"2\nok\n0\n\n",
    "a folded header": OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "bare CR": OK + b"A: b\rContent-Length: 0\r\n\r\n",
    "a space before the colon": OK + b"A : b\r\nContent-Length: 0\r\n\r\n",
    "a nameless header": OK + b": b\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": OK + b"A: b\0\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    "RTSP": b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "line ends in front": b"\r\n" + OK + b"Content-Length: 0\r\n\r\n",
    "status 000": b"HTTP/1.1 000 x\r\nContent-Length: 0\r\n\r\n",
    "status 99": b"HTTP/1.1 99 x\r\nContent-Length: 0\r\n\r\n",
    "an unasked upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "endless interim responses": b"HTTP/1.1 100 Continue\r\n\r\n" * 9,
    "TLS": b"\x15\x03\x03\x00\x02\x02\x28",
    "too many headers": OK + b"A: b\r\n" * (MAX_HEADERS + 1) + b"\r\n",
    "too long a head": OK + b"A: " + b"b" * MAX_HEAD_BYTES + b"\r\n\r\n",
}


@pytest.mark.parametrize("response", REFUSED.values(), ids=REFUSED.keys())
def test_an_illegal_response_is_refused(response: bytes) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        parse(response)


@pytest.mark.parametrize("response", REFUSED.values(), ids=REFUSED.keys())
def test_an_illegal_response_is_refused_byte_by_byte_too(response: bytes) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        parse(*(response[i : i + 1] for i in range(len(response))))


@pytest.mark.parametrize(
    "endless",
    [OK + b"A: ", CHUNKED + b"2;", CHUNKED + b"2\r\nok\r\n0\r\nA: "],
    ids=["header", "chunk extension", "trailer"],
)
def test_what_never_ends_is_cut_at_the_limit(endless: bytes) -> None:
    parser, _ = parse(endless)
    with pytest.raises(OversizedHead):
        feed_all(parser, [b"x" * 100] * (MAX_HEAD_BYTES // 100 + 2))
    assert not parser.complete


@pytest.mark.parametrize(
    "response", [OK + b"Content-Length: 4\r\n\r\nabcd", CHUNKED + b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"]
)
def test_a_premature_end_is_never_a_clean_one(response: bytes) -> None:
    for cut in range(len(response)):
        with pytest.raises(httpx.RemoteProtocolError):
            parse(*([response[:cut]] if cut else []), ended=True)


LONG = (
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"A: b\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;x=y\r\nhello\r\n1\r\n,\r\n006\r\n world\r\n0\r\nT: u\r\n\r\n"
)


def test_a_cut_at_any_byte_makes_no_difference() -> None:
    whole, body = parse(LONG)
    assert body == b"hello, world"
    for cut in range(1, len(LONG)):
        parser, received = parse(LONG[:cut], LONG[cut:])
        assert (received, parser.complete, parser.keep_alive) == (body, True, True)
        assert (parser.status, parser.headers) == (whole.status, whole.headers)


def test_one_parser_reads_a_connections_responses_one_after_another() -> None:
    parser = ResponseParser()
    for status in (200, 404, 204, 500):
        parser.start()
        parser.feed(b"HTTP/1.1 %d X\r\nA: %d\r\nContent-Length: 0\r\n\r\n" % (status, status))
        assert (parser.status, parser.complete, parser.keep_alive) == (status, True, True)
        assert len(parser.headers) == 2


pieces = st.lists(
    st.sampled_from([OK, b"\r\n", b"\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"5\r\n", b"hello", b"0\r\n"])
    | st.binary(max_size=8),
    min_size=1,
    max_size=12,
)  # fmt: skip


@given(st.booleans(), pieces, st.booleans())
def test_garbage_is_refused_or_read_and_nothing_else(
    legal_start: bool, parts: list[bytes], answers_head: bool
) -> None:
    parts = [part for part in ([OK] if legal_start else []) + parts if part]
    try:
        parser, _ = parse(*parts, answers_head=answers_head, ended=True)
    except httpx.RemoteProtocolError:
        return
    assert parser.complete
    assert 200 <= parser.status <= 999

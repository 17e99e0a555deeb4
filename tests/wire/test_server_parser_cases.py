"""Requests case by case: what the usual suites of HTTP parsers ask, answered by what RFC 9112 says and a gateway can afford.

Rows of heads with what they say of the connection, of bodies with what they hold, of edges of every limit; what is refused
stands in `test_server_parser`.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.wire.server_parser import BadRequest, RequestHead, RequestParser

from tests.wire.test_server_parser import CHUNKED_LINE, GET, POST, parse

TOKEN_CHARACTERS = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"


def head_of(raw: bytes, **limits: int) -> RequestHead:
    parser = RequestParser(**{"most_head": 4000, "most_headers": 30, "most_body": 1000, **limits})
    parser.feed(raw)
    head = parser.head()
    assert head is not None
    return head


def with_lines(*lines: bytes, version: bytes = b"1.1", method: bytes = b"GET") -> bytes:
    return b"%b / HTTP/%b\r\nhost: h\r\n%b\r\n" % (
        method,
        version,
        b"".join(line + b"\r\n" for line in lines),
    )


@pytest.mark.parametrize(
    ("version", "lines", "kept"),
    [
        (b"1.1", (), True),
        (b"1.1", (b"connection: keep-alive",), True),
        (b"1.1", (b"connection: close",), False),
        (b"1.1", (b"CONNECTION: Close",), False),
        (b"1.1", (b"connection: te, close",), False),
        (b"1.1", (b"connection: close , te",), False),
        (b"1.1", (b"connection: ,close,",), False),
        (b"1.1", (b"connection: closed",), True),
        (b"1.1", (b"connection: not-close",), True),
        (b"1.1", (b"connection: upgrade", b"upgrade: websocket"), True),
        (b"1.1", (b"connection:",), True),
        (b"1.1", (b"proxy-connection: close",), True),
        (b"1.1", (b"connection: keep-alive", b"connection: close"), False),
        (b"1.1", (b"connection: close", b"connection: keep-alive"), False),
        (b"1.1", (b"connection: close, keep-alive",), False),
        (b"1.0", (), False),
        (b"1.0", (b"connection: keep-alive",), True),
        (b"1.0", (b"connection: Keep-Alive, te",), True),
        (b"1.0", (b"connection: keep-alive, close",), False),
        (b"1.0", (b"connection: close", b"connection: keep-alive"), False),
        (b"1.0", (b"connection: te",), False),
        (b"1.0", (b"keep-alive: timeout=5",), False),
    ],
)
def test_whether_the_connection_is_kept_is_said_by_version_and_options(
    version: bytes, lines: tuple[bytes, ...], kept: bool
) -> None:
    assert head_of(with_lines(*lines, version=version)).keep_alive is kept


@pytest.mark.parametrize(
    ("version", "lines", "expects"),
    [
        (b"1.1", (b"expect: 100-continue", b"content-length: 1"), True),
        (b"1.1", (b"expect: 100-Continue", b"transfer-encoding: chunked"), True),
        (b"1.1", (b"expect: 100-continue", b"content-length: 0"), False),
        (b"1.1", (b"expect: 100-continue",), False),
        (b"1.0", (b"expect: 100-continue", b"content-length: 1"), False),
        (b"1.1", (b"content-length: 1",), False),
    ],
)
def test_who_waits_to_be_told_to_go_on_is_known_if_there_is_something_to_send(
    version: bytes, lines: tuple[bytes, ...], expects: bool
) -> None:
    assert head_of(with_lines(*lines, version=version, method=b"POST")).expects_continue is expects


@pytest.mark.parametrize(
    "method",
    [
        b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH", b"PROPFIND", b"M-SEARCH", b"PURGE",
        b"QUERY", b"get", b"X", TOKEN_CHARACTERS,
    ],
)  # fmt: skip
def test_every_token_is_a_method_and_goes_to_the_application_as_it_is(method: bytes) -> None:
    assert head_of(with_lines(method=method)).method == method.decode()


@pytest.mark.parametrize(
    "target",
    [
        b"/", b"/a/b/c", b"/a%20b", b"/a?b=c&d=e", b"/?", b"/??", b"/a?b?c", b"/;p=1", b"/'()*,;:@&=+$!~", b"/a|b", b"/\"<>\\^`{}",
        b"/%zz", b"/..//../", b"//a/b", b"http://h", b"http://h/", b"HTTPS://H/x?y", b"http://h?x",
    ],
)  # fmt: skip
def test_targets_are_handed_on_byte_by_byte(target: bytes) -> None:
    assert head_of(b"GET %b HTTP/1.1\r\nhost: h\r\n\r\n" % target).target == target


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        (b"a: b", b"a", b"b"),
        (b"a:b", b"a", b"b"),
        (b"a: \t b \t ", b"a", b"b"),
        (b"a:", b"a", b""),
        (b"a:   ", b"a", b""),
        (b"a: b c\td", b"a", b"b c\td"),
        (b"a: b: c", b"a", b"b: c"),
        (b"a: :", b"a", b":"),
        (b"a: \"b\\\"c\"", b"a", b"\"b\\\"c\""),
        (b"a: \x80\xff", b"a", b"\x80\xff"),
        (b"a: caf\xc3\xa9", b"a", b"caf\xc3\xa9"),
        (b"A-B: c", b"a-b", b"c"),
        (TOKEN_CHARACTERS.upper() + b": c", TOKEN_CHARACTERS, b"c"),
        (b"a" * 1000 + b": b", b"a" * 1000, b"b"),
        (b"a: " + b"b" * 1000, b"a", b"b" * 1000),
    ],
)  # fmt: skip
def test_header_values_lose_only_the_space_around_them(line: bytes, name: bytes, value: bytes) -> None:
    assert head_of(with_lines(line)).headers[-1] == (name, value)


def test_headers_of_one_name_stay_apart_and_in_order() -> None:
    head = head_of(with_lines(b"a: 1", b"b: 2", b"A: 3", b"a: 1"))
    assert head.headers[1:] == [(b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"a", b"1")]


CHUNKED = POST + CHUNKED_LINE + b"\r\n"


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (POST + b"\r\n", b""),
        (POST + b"content-length: 0\r\n\r\n", b""),
        (POST + b"content-length: 000\r\n\r\n", b""),
        (POST + b"content-length: 2\r\n\r\n\r\n", b"\r\n"),
        (POST + b"content-length: 28\r\n\r\n" + GET, GET),
        (b"GET / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\na", b"a"),
        (CHUNKED + b"0\r\n\r\n", b""),
        (CHUNKED + b"000\r\n\r\n", b""),
        (CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (CHUNKED + b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (CHUNKED + b"0000a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (CHUNKED + b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"),
        (CHUNKED + b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
        (CHUNKED + b"1;a\r\nx\r\n0\r\n\r\n", b"x"),
        (CHUNKED + b"1;a=b;c=d\r\nx\r\n0;e\r\n\r\n", b"x"),
        (CHUNKED + b"1 ; a = b\r\nx\r\n0\r\n\r\n", b"x"),
        (CHUNKED + b'1;a="b;c,d"\r\nx\r\n0\r\n\r\n', b"x"),
        (CHUNKED + b'1;a="\\"\\\\"\r\nx\r\n0\r\n\r\n', b"x"),
        (CHUNKED + b"1;\r\nx\r\n0\r\n\r\n", b"x"),
        (CHUNKED + b"1;\x80\r\nx\r\n0\r\n\r\n", b"x"),
        (CHUNKED + b"1\r\nx\r\n0\r\nt: u\r\nv: w\r\n\r\n", b"x"),
        (CHUNKED + b"1\r\nx\r\n0\r\ncontent-length: 50\r\ntransfer-encoding: chunked\r\n\r\n", b"x"),
    ],
)
def test_a_body_is_what_its_framing_says_and_the_next_request_begins_after_it(
    raw: bytes, body: bytes
) -> None:
    first, second = parse(raw + GET)
    assert first[2] == body
    assert second == ("GET", b"/x", b"")


@pytest.mark.parametrize("lines", [1, 2, 50])
def test_empty_lines_before_a_request_are_skipped(lines: int) -> None:
    assert parse(b"\r\n" * lines + GET) == [("GET", b"/x", b"")]


@pytest.mark.parametrize(
    ("raw", "limits", "status"),
    [
        (GET, {"most_head": len(GET)}, None),
        (GET, {"most_head": len(GET) - 1}, 431),
        (GET[:-1], {"most_head": len(GET) - 2}, 431),
        (with_lines(*[b"a: b"] * 4), {"most_headers": 5}, None),
        (with_lines(*[b"a: b"] * 5), {"most_headers": 5}, 431),
        (POST + b"content-length: 10\r\n\r\n", {"most_body": 10}, None),
        (POST + b"content-length: 11\r\n\r\n", {"most_body": 10}, 413),
        (POST + b"content-length: 999999999999999\r\n\r\n", {}, 413),
    ],
)
def test_a_limit_is_kept_to_the_last_byte(raw: bytes, limits: dict[str, int], status: int | None) -> None:
    if status is None:
        assert head_of(raw, **limits).method
        return
    with pytest.raises(BadRequest) as refused:
        head_of(raw, **limits)
    assert refused.value.status == status


@pytest.mark.parametrize(("sizes", "fits"), [((10,), True), ((4, 6), True), ((4, 7), False), ((11,), False)])
def test_chunks_are_counted_together(sizes: tuple[int, ...], fits: bool) -> None:
    chunks = b"".join(b"%x\r\n%b\r\n" % (size, b"x" * size) for size in sizes)
    if fits:
        assert parse(CHUNKED + chunks + b"0\r\n\r\n", most_body=10)[0][2] == b"x" * sum(sizes)
        return
    with pytest.raises(BadRequest) as refused:
        parse(CHUNKED + chunks, most_body=10)
    assert refused.value.status == 413


WHOLE = {
    "plain": GET,
    "sized": POST + b"content-length: 5\r\n\r\nabcde",
    "chunked": CHUNKED + b'2;a="b"\r\nab\r\n3\r\ncde\r\n0\r\nt: u\r\n\r\n',
    "absolute": b"GET http://h/x HTTP/1.0\r\n\r\n",
}


@pytest.mark.parametrize("name", WHOLE)
def test_no_beginning_of_a_good_request_is_refused_or_taken_for_the_whole(name: str) -> None:
    raw = WHOLE[name]
    for end in range(len(raw)):
        assert parse(raw[:end]) == []
    assert len(parse(raw)) == 1


@given(st.lists(st.sampled_from(sorted(WHOLE)), max_size=6), st.integers(1, 40))
def test_pipelined_requests_come_out_one_by_one_however_they_are_cut(names: list[str], size: int) -> None:
    raw = b"".join(WHOLE[name] for name in names)
    pieces = [raw[start : start + size] for start in range(0, len(raw), size)]
    assert parse(*pieces) == [parse(WHOLE[name])[0] for name in names]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\n\r", b"\r\r\n", b"\0", b"\r\n\0"])
@pytest.mark.parametrize("place", ["request line", "header", "head", "chunk size", "chunk", "trailers"])
def test_a_line_that_ends_otherwise_than_it_should_is_refused_wherever_it_stands(
    end: bytes, place: str
) -> None:
    parts = {
        "request line": b"POST / HTTP/1.1", "header": b"host: h", "head": b"transfer-encoding: chunked\r\n", "chunk size": b"1",
        "chunk": b"x", "trailers": b"0\r\nt: u\r\n",
    }  # fmt: skip
    raw = b"".join(part + (end if name == place else b"\r\n") for name, part in parts.items())
    with pytest.raises(BadRequest):
        # What follows makes a lone carriage return the end of something, and not the beginning of a line's end.
        parse(raw + b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")

"""The bytes of request heads. No I/O."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.wire.client_request import JOINED_BODY_BYTES, encode, origin_of

from tests.wire.client_peers import post


class Parts(httpx.AsyncByteStream):
    """A body that is not in memory."""


def test_a_small_body_travels_with_its_head() -> None:
    outgoing = encode(post(b"{}", headers=[(b"X-A", b"1")]))
    assert outgoing.first == (
        b"POST /v1/chat HTTP/1.1\r\nHost: vendor.test\r\nX-A: 1\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert outgoing.body is None


def test_a_host_given_is_a_host_kept() -> None:
    assert encode(post(headers=[(b"host", b"other")])).first.count(b"ost: ") == 1


def test_the_port_belongs_to_host_unless_it_is_the_usual_one() -> None:
    assert b"Host: a:8080\r\n" in encode(post(url="http://a:8080/")).first
    assert b"Host: a\r\n" in encode(post(url="https://a:443/")).first
    assert b"Host: [::1]:1\r\n" in encode(post(url="http://[::1]:1/")).first


def test_the_query_is_part_of_the_target_and_the_fragment_is_not() -> None:
    assert encode(post(url="http://a/b?alt=sse&k=%20#f")).first.startswith(
        b"POST /b?alt=sse&k=%20 HTTP/1.1\r\n"
    )


def test_a_get_without_body_says_nothing_of_length() -> None:
    assert b"ength" not in encode(post(b"", method="GET")).first
    assert b"Content-Length: 0\r\n" in encode(post(b"")).first


def test_a_large_body_is_not_copied() -> None:
    outgoing = encode(post(b"x" * (JOINED_BODY_BYTES + 1)))
    assert outgoing.first.endswith(b"\r\n\r\n")
    assert outgoing.length == JOINED_BODY_BYTES + 1


def test_a_streamed_body_is_chunked_unless_its_length_is_known() -> None:
    assert b"Transfer-Encoding: chunked\r\n" in encode(post(stream=Parts())).first
    known = encode(post(stream=Parts(), headers=[(b"Content-Length", b"5")]))
    assert known.length == 5
    assert b"chunked" not in known.first


@pytest.mark.parametrize(
    "headers",
    [
        [(b"A", b"b\r\nEvil: x")],
        [(b"A", b"b\nEvil: x")],
        [(b"A", b"b\r")],
        [(b"A", b"b\0")],
        [(b"A", b"\x7f")],
        [(b"A\r\nEvil", b"b")],
        [(b"A: b", b"c")],
        [(b"", b"b")],
        [(b"A ", b"b")],
        [(b"Content-Length", b"3")],
        [(b"Content-Length", b"2"), (b"Content-Length", b"2")],
        [(b"Content-Length", b"2"), (b"Transfer-Encoding", b"chunked")],
        [(b"Content-Length", b"+2")],
        [(b"Transfer-Encoding", b"gzip")],
        [(b"Host", b"a"), (b"Host", b"b")],
    ],
)
def test_what_could_smuggle_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        encode(post(headers=headers))


@pytest.mark.parametrize("method", ["GET /\r\n", "P ST", "", "CONNECT"])
def test_an_illegal_method_is_refused(method: str) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        encode(post(method=method))


@pytest.mark.parametrize("url", ["ftp://a/", "ws://a/", "/relative", "http:///path"])
def test_only_http_urls_with_a_host_are_fetched(url: str) -> None:
    with pytest.raises(httpx.UnsupportedProtocol):
        origin_of(httpx.URL(url))


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_no_header_ever_makes_two(name: bytes, value: bytes) -> None:
    try:
        first = encode(post(headers=[(name, value)])).first
    except httpx.LocalProtocolError:
        return
    head = first.partition(b"\r\n\r\n")[0]
    lines = head.split(b"\r\n")
    assert len(lines) in (3, 4)  # Host and Content-Length may be the one given.
    assert name + b": " + value in lines

"""What a vendor's headers are to our own reader, and to anybody who uses httpx."""

from __future__ import annotations

import httpx
from llm_dispatcher.runtime.wire.client_response import ReceivedResponse, fields_of

FIELDS = [(b"Content-Type", b"text/plain; charset=latin-1"), (b"X-Name", b"caf\xe9"), (b"x-name", b"2")]


def received() -> ReceivedResponse:
    return ReceivedResponse(200, list(FIELDS), httpx.ByteStream(b"caf\xe9"), {"http_version": b"HTTP/1.1"})


def test_the_headers_are_those_that_httpx_would_have_made() -> None:
    ours, theirs = received(), httpx.Response(200, headers=FIELDS)
    assert ours.headers == theirs.headers
    assert ours.headers.raw == theirs.headers.raw
    assert ours.headers.get_list("x-name") == ["café", "2"]
    assert ours.headers is ours.headers


async def test_the_text_is_decoded_as_the_headers_say() -> None:
    response = received()
    await response.aread()
    assert (response.text, response.charset_encoding) == ("café", "latin-1")


def test_headers_can_be_replaced_as_any_response_s_can() -> None:
    response = received()
    response.headers = httpx.Headers({"a": "b"})
    assert dict(response.headers) == {"a": "b"}


def test_our_own_reader_takes_the_fields_as_they_came_from_any_transport() -> None:
    assert fields_of(received()) == FIELDS
    assert fields_of(httpx.Response(200, headers=FIELDS)) == FIELDS

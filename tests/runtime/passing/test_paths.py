"""What may stand in the path and the query of a request that is passed on, and where it then goes."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.runtime.passing.paths import Misguided, address, checked_path, cleaned_query

BASE = httpx.URL("https://api.vendor.example/v1")


@pytest.mark.parametrize(
    ("base", "path", "found"),
    [
        ("https://v.example/v1", b"files", "/v1/files"),
        ("https://v.example/v1/", b"files/", "/v1/files/"),
        ("https://v.example/v1", b"v1/files", "/v1/files"),
        ("https://v.example/v1beta", b"v1alpha2/files", "/v1alpha2/files"),
        ("https://v.example/api/v1", b"v2/files", "/api/v2/files"),
        ("https://v.example", b"v1/files", "/v1/files"),
        ("https://v.example/v1", b"video/1", "/v1/video/1"),
        ("https://v.example/v1", b"", "/v1/"),
        ("https://v.example/v1", b"v1", "/v1"),
        ("https://v.example/v1", b"models/x:generate%20it", "/v1/models/x:generate%20it"),
    ],
)
def test_a_path_is_put_below_the_base(base: str, path: bytes, found: str) -> None:
    assert address(httpx.URL(base), checked_path(path), b"").raw_path == found.encode()


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        (b"", b""),
        (b"key=secret", b""),
        (b"a=1&KEY=secret&b", b"a=1&b"),
        (b"a=%26&api%5Fkey=secret", b"a=%26"),
        (b"api-version=2024&alt=sse", b"api-version=2024&alt=sse"),
        (b"access_token=s&a=1&a=2", b"a=1&a=2"),
    ],
)
def test_the_clients_credentials_do_not_stay_in_a_query(query: bytes, kept: bytes) -> None:
    assert cleaned_query(query) == kept


_PIECES = st.sampled_from(
    [b"..", b".", b"/", b"//", b"%2e", b"%2E", b"%2f", b"%5c", b"%25", b"%00", b"\\", b"a", b"v1", b"@", b":", b"?", b";", b"%zz", b"\xff", b"%", b"2e"]
)  # fmt: skip


def harmless(raw: bytes) -> bool:
    """Whether no server, however often it decodes, finds a way out: written apart from the product, and slower."""
    seen = raw
    for _ in range(10):
        for segment in seen.replace(b"\\", b"/").split(b"/"):
            if segment.split(b";")[0] in (b".", b".."):
                return False
        if b"\\" in seen or b"//" in seen or b"\0" in seen:
            return False
        seen = unquote_to_bytes(seen)
    return True


@settings(max_examples=400, deadline=None)
@given(st.lists(_PIECES, max_size=8).map(b"".join))
def test_whatever_is_let_through_stays_below_the_base_at_the_same_host(path: bytes) -> None:
    try:
        url = address(BASE, checked_path(path), b"")
    except Misguided:
        return
    assert (url.scheme, url.host, url.port) == ("https", BASE.host, None)
    assert url.raw_path in (b"/v1/" + path, b"/" + path)
    assert not path.startswith(b"/")
    assert harmless(path)

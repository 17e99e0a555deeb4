"""Where a request that is passed on goes: below the vendor's base address, and nowhere else. Pure.

Nothing in a path or query may lead elsewhere, however often it is encoded: no `..`, no empty segment (`//host` is one, to some
servers), no backslash (a slash, to some). Credentials in the query are the client's, and are taken out.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

import httpx

__all__ = ["Misguided", "address", "checked_path", "cleaned_query", "without_version"]

_TARGET: Final = re.compile(rb"[!$%&'()*+,\-./0-9:;=?@A-Z_a-z~\[\]]*")
"""What may stand in a path or query: RFC 3986, with the brackets that many clients leave as they are."""
_ENCODED: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_VERSION: Final = re.compile(rb"v\d+(?:(?:alpha|beta)\d*)?")
_DEEPEST: Final = 4
"""How often a path is decoded in search of what it hides; one that still changes is refused."""
_CREDENTIALS: Final = frozenset(
    {b"key", b"api_key", b"api-key", b"apikey", b"access_token", b"subscription-key"}
)


class Misguided(ValueError):
    """The path or the query leads to where nothing is passed on, or is none."""


def checked_path(path: bytes) -> bytes:
    """`path`, below the vendor's base address, as it came. Raises `Misguided`."""
    _well_formed(path, "path")
    seen = path
    for _ in range(_DEEPEST):
        _straight(seen)
        decoded = unquote_to_bytes(seen)
        if decoded == seen:
            return path
        seen = decoded
    raise Misguided("the path is encoded more often than anybody needs")


def _well_formed(text: bytes, name: str) -> None:
    if not _TARGET.fullmatch(text) or _ENCODED.search(text):
        raise Misguided(f"the {name} holds what no {name} may hold")


def _straight(path: bytes) -> None:
    """Raises `Misguided` for a path that leads out of the place where it begins, to any server."""
    if b"\\" in path or any(byte < 0x20 or byte == 0x7F for byte in path):
        raise Misguided("the path holds a backslash or a control character")
    segments = path.split(b"/")
    for at, segment in enumerate(segments):
        if segment.partition(b";")[0] in (b".", b".."):
            raise Misguided("the path leads out of its place")
        if not segment and at < len(segments) - 1:
            raise Misguided("a part of the path is empty")


def cleaned_query(query: bytes) -> bytes:
    """`query` without the client's credentials, else as it came. Raises `Misguided`."""
    _well_formed(query, "query")
    kept = [
        field
        for field in query.split(b"&")
        if unquote_to_bytes(field.partition(b"=")[0].replace(b"+", b" ")).lower() not in _CREDENTIALS
    ]
    return b"&".join(kept)


def without_version(path: bytes) -> bytes:
    """`path` without the version of the interface in it, so that what is asked in any version can be compared."""
    return b"/".join([segment for segment in path.split(b"/") if not _VERSION.fullmatch(segment)])


def address(base: httpx.URL, path: bytes, query: bytes) -> httpx.URL:
    """The address below `base`. A version at the beginning of `path` stands for the one at the end of the base, since some
    SDKs have it in their base addresses and some in their paths.

    `path` and `query` were checked. Raises `Misguided` for what httpx would write in another way.
    """
    root = base.raw_path.partition(b"?")[0].rstrip(b"/")
    before, _, last = root.rpartition(b"/")
    if _VERSION.fullmatch(last) and _VERSION.fullmatch(path.partition(b"/")[0]):
        root = before
    raw = root + b"/" + path + (b"?" + query if query else b"")
    url = base.copy_with(raw_path=raw)
    if url.raw_path != raw or (url.scheme, url.netloc) != (base.scheme, base.netloc):
        raise Misguided("the path cannot be written as it came")
    return url

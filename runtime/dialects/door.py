"""A vendor's address and headers, worked out once: from a body to an `httpx.Request`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import httpx

from .base import Target

__all__ = ["Door"]

_PLAIN: Final = (b"accept", b"application/json")
_STREAM: Final = (b"accept", b"text/event-stream")


class Door:
    """Where a deployment's requests go. The target's own headers replace the dialect's of the same name."""

    def __init__(self, url: httpx.URL, headers: Mapping[str, str], target: Target) -> None:
        merged = {
            "host": url.netloc.decode(),
            "content-type": "application/json",
            "accept-encoding": "identity",
        }
        merged.update(headers)
        merged.update({name.lower(): value for name, value in target.headers.items()})
        self.url = url
        self._accept = (
            _STREAM if "accept" not in headers else (b"accept", merged.pop("accept").encode("ascii"))
        )
        self._headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in merged.items()]

    def request(self, body: bytes, *, stream: bool, more: Mapping[str, str] | None = None) -> httpx.Request:
        """A POST of `body`. `more`: headers of this request alone."""
        replaced = {name.encode("ascii") for name in more} if more else ()
        headers = [
            *(self._headers if not more else [each for each in self._headers if each[0] not in replaced]),
            self._accept if stream else _PLAIN,
            (b"content-length", str(len(body)).encode()),
        ]
        if more:
            headers += [(name.encode("ascii"), value.encode("latin-1")) for name, value in more.items()]
        return httpx.Request("POST", self.url, headers=headers, stream=httpx.ByteStream(body))

"""A vendor's address and headers, worked out once: from a body to an `httpx.Request`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import httpx

from .base import Target

__all__ = ["Door", "address_of"]

_PLAIN: Final = (b"accept", b"application/json")
_STREAM: Final = (b"accept", b"text/event-stream")


def address_of(target: Target, usual: str) -> str:
    """The target's address, without a slash at its end. Raises `ValueError` for one that is none; `usual` is what to use."""
    url = target.base_url.rstrip("/")
    if not url.startswith(("https://", "http://")) or "?" in url or "#" in url:
        raise ValueError(
            f"base_url {target.base_url!r} of vendor {target.vendor!r} is no address; use {usual!r}"
        )
    return url


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
        accept = _STREAM if "accept" not in headers else (b"accept", merged.pop("accept").encode("ascii"))
        self.url = url
        fields = [(name.encode("ascii"), value.encode("latin-1")) for name, value in merged.items()]
        # httpx copies headers of its own at a fraction of what it takes to make them.
        self._plain = httpx.Headers([*fields, _PLAIN])
        self._streamed = httpx.Headers([*fields, accept])

    def request(self, body: bytes, *, stream: bool, more: Mapping[str, str] | None = None) -> httpx.Request:
        """A POST of `body`. `more`: headers of this request alone."""
        headers = self._streamed if stream else self._plain
        if more:
            replaced = {name.encode("ascii"): value.encode("latin-1") for name, value in more.items()}
            kept = [field for field in headers.raw if field[0] not in replaced]
            headers = httpx.Headers([*kept, *replaced.items()])
        request = httpx.Request("POST", self.url, headers=headers, stream=httpx.ByteStream(body))
        request.headers["content-length"] = str(len(body))
        return request

"""Amazon's event stream encoding, written for tests: what the product only reads."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["event", "exception", "framed", "message", "text_headers", "unframed"]


def framed(headers: bytes, payload: bytes) -> bytes:
    """One message with checksums that are right."""
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    head = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return head + struct.pack(">I", zlib.crc32(head))


def unframed(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The headers and the payload of each whole message, by the lengths alone."""
    while len(data) >= 16:
        length, headers = struct.unpack_from(">II", data)
        if not 16 + headers <= length <= len(data):
            return
        yield data[12 : 12 + headers], data[12 + headers : length - 4]
        data = data[length:]


def text_headers(headers: Mapping[str, str]) -> bytes:
    """Headers that are texts."""
    return b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value.encode())) + value.encode()
        for name, value in headers.items()
    )


def message(headers: Mapping[str, str], payload: Any) -> bytes:
    """A message with a payload of JSON."""
    return framed(text_headers(headers), json.dumps(payload).encode())


def event(kind: str, payload: Any) -> bytes:
    """An event as Bedrock sends it."""
    return message(
        {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}, payload
    )


def exception(kind: str, payload: Any) -> bytes:
    """An exception as Bedrock sends it in a stream."""
    return message(
        {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}, payload
    )

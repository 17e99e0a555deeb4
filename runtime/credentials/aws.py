"""An Amazon account's key, as a configuration writes it, and the signature that every request gets.

Either `access-key-id:secret-access-key`, with a third part where the key is of a session
(`access-key-id:secret-access-key:session-token`), or an API key of Bedrock, which goes into a header as it is and needs
nothing from here. Roles of machines and profiles in files are not looked up: what hands out keys that expire can write them into
the environment, before the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import httpx

from ..clock import wall_now
from .base import Credentials
from .sigv4 import AccessKey, sign

__all__ = ["AwsSignature", "access_key"]

_COVERED: Final = ("content-type", "host")


def access_key(key: str) -> AccessKey | None:
    """The access key in a vendor's key; None if that is an API key. Raises `ValueError` if it is neither."""
    if ":" not in key:
        return None
    parts = [part.strip() for part in key.split(":")]
    if len(parts) > 3 or not parts[0] or not parts[1]:
        raise ValueError(
            "the key is neither an API key nor an access key; write "
            '"${AWS_ACCESS_KEY_ID}:${AWS_SECRET_ACCESS_KEY}", with ":${AWS_SESSION_TOKEN}" after it for one of a session'
        )
    return AccessKey(parts[0], parts[1], parts[2] if len(parts) == 3 and parts[2] else None)


class AwsSignature(Credentials):
    """Signs each request for `service` in `region`; about 30 µs, and a millisecond for every megabyte of body."""

    def __init__(self, key: AccessKey, *, region: str, service: str) -> None:
        self._key = key
        self._region = region
        self._service = service

    async def headers(self, request: httpx.Request) -> Mapping[str, str]:
        """See `Credentials.headers`."""
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        stream = request.stream
        return sign(
            self._key,
            method=request.method,
            path=path,
            query=query,
            headers={name: request.headers[name] for name in _COVERED if name in request.headers},
            body=b"".join(stream) if isinstance(stream, httpx.SyncByteStream) else b"",
            region=self._region,
            service=self._service,
            now=wall_now(),
        )

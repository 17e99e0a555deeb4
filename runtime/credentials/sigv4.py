"""Amazon's Signature Version 4, for requests whose body is at hand. Pure; the time is an argument.

Source: "Create a signed AWS API request" in the IAM user guide. Everywhere but at S3 the path is encoded twice: once as it
stands in the request, and once more for the signature.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, quote

from msgspec import Struct

__all__ = ["AccessKey", "sign"]

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_UNRESERVED: Final = "-._~"
"""RFC 3986: with letters and digits, what is not encoded."""


class AccessKey(Struct, frozen=True):
    """What Amazon knows an account's user by. `session_token` belongs to keys that expire."""

    id: str
    secret: str
    session_token: str | None = None

    def __repr__(self) -> str:
        """Without the secrets: a representation ends in logs."""
        return f"AccessKey({self.id!r})"


def sign(
    key: AccessKey,
    *,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    region: str,
    service: str,
    now: float,
) -> dict[str, str]:
    """The headers to add to a request. `path` and `query` as they are sent, encoded; `headers`, names in lower case, are all
    those to be covered, `host` among them; `now` in seconds since the epoch."""
    when = datetime.fromtimestamp(now, UTC)
    stamp, day = when.strftime("%Y%m%dT%H%M%SZ"), when.strftime("%Y%m%d")
    added = {"x-amz-date": stamp}
    if key.session_token:
        added["x-amz-security-token"] = key.session_token
    covered = {name: " ".join(value.split()) for name, value in {**headers, **added}.items()}
    names = ";".join(sorted(covered))
    canonical = "\n".join(
        [
            method,
            quote(path, safe=f"/{_UNRESERVED}") or "/",
            _canonical_query(query),
            *(f"{name}:{covered[name]}" for name in sorted(covered)),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join([_ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signature = _hmac(_signing_key(key.secret, day, region, service), text).hex()
    added["authorization"] = (
        f"{_ALGORITHM} Credential={key.id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return added


def _canonical_query(query: str) -> str:
    pairs = [
        (quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED))
        for name, value in parse_qsl(query, keep_blank_values=True)
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


@lru_cache(maxsize=64)
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    """The key of one day: it costs as much as the rest, and serves until midnight."""
    key = f"AWS4{secret}".encode()
    for word in (day, region, service, "aws4_request"):
        key = _hmac(key, word)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()

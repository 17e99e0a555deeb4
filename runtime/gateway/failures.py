"""The house's errors as failures to be told, and the headers that come with them."""

from __future__ import annotations

import math

from ..errors import DispatchError, Stopping
from .http import Headers
from .styles import Failure

__all__ = ["failure_of", "headers_of", "stopping"]


def failure_of(error: DispatchError) -> Failure:
    """What went wrong, whose fault it was, which attempts were made, and in how many seconds a new try makes sense
    (None where that is not known)."""
    return Failure(
        status=error.status,
        message=error.message,
        code=error.code,
        type=error.type,
        param=error.param,
        kind=error.kind,
        retry_after=error.retry_after,
        record={
            "class": error.kind.value,
            "blame": error.blame.value,
            "vendor": error.vendor,
            "retry_after": error.retry_after,
            "attempt": len(error.attempts),
            "attempts": [
                {
                    "deployment": record.deployment,
                    "class": record.fault,
                    "message": record.message,
                    "seconds": round(record.seconds, 4),
                }
                for record in error.attempts
            ],
        },
    )


def headers_of(error: DispatchError) -> Headers:
    """`retry-after` where the time is known, and how many attempts there were.

    `x-should-retry: false` keeps the vendors' own SDKs from repeating what we have repeated already.
    """
    headers: Headers = [(b"x-dispatch-attempts", str(len(error.attempts)).encode())]
    if error.vendor is not None:
        headers.append((b"x-dispatch-vendor", error.vendor.encode("latin-1", "replace")))
    if error.retry_after is not None:
        headers.append((b"retry-after", str(math.ceil(error.retry_after)).encode()))
    elif error.attempts:
        headers.append((b"x-should-retry", b"false"))
    return headers


def stopping() -> Stopping:
    """What a stream is told that the server has to end."""
    return Stopping(
        "the server is being stopped; what has been delivered is not a whole answer", code="server_draining"
    )

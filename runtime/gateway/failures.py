"""How the house's errors look to a client of OpenAI's interface: status, envelope, headers."""

from __future__ import annotations

import math
from typing import Any

from ..dialects.formats.chat_completions import faults
from ..errors import DispatchError
from .http import Headers

__all__ = ["envelope", "headers_of"]


def envelope(error: DispatchError) -> dict[str, Any]:
    """OpenAI's error object, and beside its own fields whose fault it was, which attempts were made, and in how many
    seconds a new try makes sense (null where that is not known)."""
    body = faults.write(error.message, type=error.type, code=error.code, param=error.param)
    body["error"]["x_dispatch"] = {
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
    }
    return body


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

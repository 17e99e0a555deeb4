"""Which header fields go to the vendor, and which come back. Pure.

The client's credentials, and whom it would have billed, are for nobody, and the vendor's own take their place. What concerns one connection stays there
(RFC 9110, section 7.6.1). Who asked, from where and through whom is not the vendor's business, nor are its cookies the client's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

__all__ = ["Fields", "for_client", "for_vendor", "is_credential"]

Fields: TypeAlias = Sequence[tuple[bytes, bytes]]

_OF_A_CONNECTION: Final = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
        b"transfer-encoding", b"upgrade", b"http2-settings",
    }
)  # fmt: skip
_CREDENTIALS: Final = frozenset(
    {
        b"authorization", b"api-key", b"x-api-key", b"x-goog-api-key", b"ocp-apim-subscription-key", b"cookie",
        b"openai-organization", b"openai-project", b"x-amz-security-token", b"x-amz-date", b"x-amz-content-sha256", b"x-goog-user-project", b"x-goog-iam-authorization-token",
    }
)  # fmt: skip
_OURS: Final = frozenset(
    {
        b"host", b"content-length", b"expect", b"accept-encoding", b"x-request-id", b"forwarded", b"via", b"x-real-ip",
        b"x-client-ip", b"x-original-url", b"x-rewrite-url", b"x-http-method-override", b"x-http-method", b"x-method-override",
    }
)  # fmt: skip
_OURS_BEGIN: Final = (b"x-dispatch-", b"x-forwarded-", b"cf-", b"sec-")
_NOT_BACK: Final = frozenset(
    {
        b"set-cookie",
        b"alt-svc",
        b"strict-transport-security",
        b"date",
        b"server",
        b"x-request-id",
        b"content-length",
    }
)
_NOT_BACK_BEGIN: Final = (b"x-dispatch-", b"access-control-")
"""A web page must not be told that it may read what this daemon says: see `gateway.passthrough`."""


def is_credential(name: bytes) -> bool:
    """Whether a header of that name, in lower case, says who one is."""
    return name in _CREDENTIALS


def for_vendor(fields: Fields) -> tuple[tuple[bytes, bytes], ...]:
    """What of a client's header fields (names in lower case) may go on."""
    named = _named_by_connection(fields)
    return tuple(
        [
            (name, value)
            for name, value in fields
            if name not in _OF_A_CONNECTION
            and name not in named
            and name not in _CREDENTIALS
            and name not in _OURS
            and not name.startswith(_OURS_BEGIN)
        ]
    )


def for_client(fields: Fields) -> list[tuple[bytes, bytes]]:
    """What of a vendor's header fields may come back; the id that it gave the request under a name of its own."""
    lowered = [(name.lower(), value) for name, value in fields]
    named = _named_by_connection(lowered)
    told = [
        (name, value)
        for name, value in lowered
        if name not in _OF_A_CONNECTION
        and name not in named
        and name not in _NOT_BACK
        and not name.startswith(_NOT_BACK_BEGIN)
    ]
    return told + [(b"x-upstream-request-id", value) for name, value in lowered if name == b"x-request-id"]


def _named_by_connection(fields: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Fields that the sender calls its connection's own."""
    values = [value for name, value in fields if name == b"connection"]
    return frozenset([each.strip().lower() for value in values for each in value.split(b",")])

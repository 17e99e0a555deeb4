"""TLS towards vendors: whom we trust, and the handshake.

Peers are always verified. The roots are certifi's unless the usual variables SSL_CERT_FILE or
SSL_CERT_DIR name others. Loading them takes tens of milliseconds, hence one context a process
(and one more for HTTP/2), made when the first connection needs it.
"""

import functools
import os
import ssl
from typing import TypeAlias

import certifi
import trio

from .client_errors import BROKEN, handshake_failed
from .client_request import Origin
from .quick_socket import QuickStream
from .quick_tls import QuickTLS

_MOST_SESSIONS = 64

TLSStream: TypeAlias = QuickTLS | trio.SSLStream[trio.abc.Stream]
"""TLS over a socket, and over whatever else a program dials."""


@functools.cache
def default_context(*, http2: bool = False) -> ssl.SSLContext:
    """The shared context: verification on, HTTP/1.1 and with `http2` that too. Not to be changed by those who use it."""
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        context = ssl.create_default_context()
    else:
        context = ssl.create_default_context(cafile=certifi.where())
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    return context


class Sessions:
    """The newest TLS session of each origin, so that a later handshake can be a short one (RFC 8446, 2.2).

    Bounded; the oldest origin is forgotten first.
    """

    def __init__(self) -> None:
        self._sessions: dict[Origin, ssl.SSLSession] = {}

    def remember(self, origin: Origin, stream: trio.abc.Stream) -> None:
        """Keep the session of `stream` if it is TLS. With TLS 1.3 it exists once some data was read."""
        if not isinstance(stream, QuickTLS | trio.SSLStream):
            return
        session = stream.session
        if session is None or not session.has_ticket:
            return
        self._sessions.pop(origin, None)
        if len(self._sessions) >= _MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[origin] = session

    def recall(self, origin: Origin) -> ssl.SSLSession | None:
        return self._sessions.get(origin)


async def secure(
    stream: trio.abc.Stream, host: str, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> TLSStream:
    """Make `stream` a TLS stream to `host`; TLSFailed or another ConnectError if the handshake does not succeed.

    HTTP delimits its messages itself, so peers that close without TLS's own goodbye are tolerated.
    """
    try:
        secured = _over(stream, host, context, session)
        await secured.do_handshake()
    except (*BROKEN, ValueError) as error:
        raise handshake_failed(error, host) from error
    return secured


def _over(
    stream: trio.abc.Stream, host: str, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> TLSStream:
    if isinstance(stream, QuickStream | QuickTLS):
        return QuickTLS(stream, context, server_hostname=host, session=session)
    secured: trio.SSLStream[trio.abc.Stream] = trio.SSLStream(
        stream, context, server_hostname=host, https_compatible=True
    )
    if session is not None:
        secured.session = session
    return secured

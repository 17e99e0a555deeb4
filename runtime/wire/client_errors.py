"""What can go wrong on the way to a vendor, in httpx's terms.

httpx's exceptions are the interface of any transport; this is the one place that turns the faults
of trio, sockets and TLS into them. Some kinds matter more to a dispatcher than httpx distinguishes:

    ConnectError
      + NameNotResolved      no address for the name: nothing was sent, perhaps our own network is ill
      + ConnectionRefused    nobody listens there, but somebody said so: our own network is well
      + TLSFailed            the peer was reached, but not trusted: another try will not help
    RemoteProtocolError
      + StaleConnection      a kept connection was closed before the answer began: try a new one
      + NotProcessed         the server says that it has not looked at the request: try again
      + OversizedHead        a head, trailers or extensions without an end: no answer of any use
    PoolTimeout
      + PoolOverflow         too many requests wait already: this one does not wait at all
"""

import socket
import ssl

import httpx
import trio

BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)
"""What a trio stream raises when its peer or its socket is gone."""


class NameNotResolved(httpx.ConnectError):
    """The host name has no address that we could find out."""


class ConnectionRefused(httpx.ConnectError):
    """The host answered, with a refusal."""


class TLSFailed(httpx.ConnectError):
    """The TLS handshake failed: an untrusted or wrong certificate, or a peer that speaks no TLS."""


class StaleConnection(httpx.RemoteProtocolError):
    """A connection kept from an earlier request was closed before a byte of this answer came.

    The usual cause is that the server's keep-alive time ran out as the request was on its way, so
    the request was most likely not seen. The transport does not retry; its caller may.
    """


class NotProcessed(httpx.RemoteProtocolError):
    """The server has said that it did nothing about the request (RFC 9113, 8.7): it may be sent again as it is."""


class OversizedHead(httpx.RemoteProtocolError):
    """What surrounds the body is larger than anybody needs: broken off before it fills our memory."""


class PoolOverflow(httpx.PoolTimeout):
    """As many requests as allowed are waiting for a connection already."""


def dial_failed(error: Exception, host: str, port: int) -> httpx.ConnectError:
    """The error for a peer that could not be reached."""
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return NameNotResolved(f"cannot resolve {host!r}: {error}")
    kind = ConnectionRefused if _refused(error) else httpx.ConnectError
    return kind(f"cannot connect to {host}:{port}: {error}")


def _refused(error: BaseException | None) -> bool:
    """Whether some address of the host refused; trio tries all of them, and groups what they said."""
    if isinstance(error, BaseExceptionGroup):
        return any(_refused(each) for each in error.exceptions)
    return isinstance(error, ConnectionRefusedError) or (
        isinstance(error, OSError) and error.__cause__ is not None and _refused(error.__cause__)
    )


def handshake_failed(error: Exception, host: str) -> httpx.ConnectError:
    """The error for a failed TLS handshake; trio hides OpenSSL's reason in the cause.

    A connection that merely broke while at it says nothing about trust, so that is a plain ConnectError.
    """
    reason = error.__cause__
    if isinstance(error, ValueError):
        reason = error
    elif not isinstance(reason, ssl.SSLError) or isinstance(reason, (ssl.SSLEOFError, ssl.SSLSyscallError)):
        return httpx.ConnectError(f"connection to {host!r} lost during the TLS handshake: {reason or error}")
    return TLSFailed(f"TLS handshake with {host!r} failed: {reason}")


def read_failed(error: Exception) -> httpx.ReadError:
    """The error for a connection that broke while we were reading."""
    return httpx.ReadError(f"connection lost while reading: {error}")


def write_failed(error: Exception) -> httpx.WriteError:
    """The error for a connection that broke while we were writing."""
    return httpx.WriteError(f"connection lost while writing: {error}")

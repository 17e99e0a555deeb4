"""TLS over a `QuickStream`, with what makes that quick: sending and closing without waiting.

`trio.SSLStream` is for any stream and any use, and pays for it with a lock and a scheduling round for every write. Here a
piece is encrypted and handed to the kernel at once. Like a QuickStream's, these methods are for one reader and one
writer.

What is encrypted cannot be taken back. So after `send_nowait` has taken a part of some bytes, the next bytes to be sent
must be the rest of them (as OpenSSL's own SSL_write wants it): a record that the kernel has not taken whole counts as unsent
until it has. `amid` says whether there is such a record; who gives up sending then can only close.

What servers send unasked after the handshake, session tickets above all (RFC 8446, 4.6), is taken in by `is_quiet`: a
connection that lies idle is not thought busy for it.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import Final, TypeAlias

import trio

from .quick_socket import RECEIVE_SIZE, QuickStream

__all__ = ["Quick", "QuickTLS"]

_RECORD: Final = 16_384
"""Plain bytes in the largest record of TLS."""
_INTAKE: Final = _RECORD + 512
"""Encrypted bytes taken in at once: a record and what is around it. OpenSSL keeps a buffer as large as the most it ever held."""


class QuickTLS(trio.abc.Stream):
    """Speaks TLS over `transport`, which it owns. `do_handshake` comes first."""

    __slots__ = ("_held", "_incoming", "_object", "_outgoing", "_unsent", "transport_stream")

    def __init__(
        self,
        transport: Quick,
        context: ssl.SSLContext,
        *,
        server_hostname: str | None = None,
        server_side: bool = False,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.transport_stream = transport
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_side,
            server_hostname=server_hostname,
            session=session,
        )
        self._unsent = b""
        self._held = 0

    @property
    def socket(self) -> socket.socket:
        """The socket at the bottom of it."""
        return self.transport_stream.socket

    # --- what was agreed --------------------------------------------------------------------

    @property
    def session(self) -> ssl.SSLSession | None:
        """The session, for a later handshake with the same server."""
        return self._object.session

    @property
    def session_reused(self) -> bool:
        """Whether the handshake was a short one."""
        return bool(self._object.session_reused)

    def selected_alpn_protocol(self) -> str | None:
        """What both sides want to speak; None if nothing was said about it."""
        return self._object.selected_alpn_protocol()

    async def do_handshake(self) -> None:
        """Raises BrokenResourceError with OpenSSL's error as its cause; then the stream can only be closed."""
        while True:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._take_in()
            except ssl.SSLError as error:
                # The peer may still be told why.
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError, OSError):
                    self._push()
                raise trio.BrokenResourceError("the TLS handshake failed") from error
            else:
                await self._flush()
                return

    # --- sending ----------------------------------------------------------------------------

    @property
    def amid(self) -> bool:
        """Whether a record has been sent in part."""
        return bool(self._unsent)

    def send_nowait(self, data: bytes | bytearray | memoryview) -> int:
        """How many bytes of `data` are out, maybe none; see the module's text. OSError if the connection is broken."""
        sent = 0
        if self._unsent:
            if not self._push():
                return 0
            sent, self._held = self._held, 0
        with memoryview(data) as view:
            while sent < len(view):
                with view[sent : sent + _RECORD] as piece:
                    self._encrypt(piece)
                    if not self._push():
                        self._held = len(piece)
                        break
                    sent += len(piece)
        return sent

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As trio's: a checkpoint, and after a cancellation nobody knows how much was sent."""
        await trio.lowlevel.checkpoint()
        with memoryview(data) as view:
            sent = 0
            while sent < len(view):
                with view[sent:] as rest:
                    try:
                        moved = self.send_nowait(rest)
                    except OSError as error:
                        raise trio.BrokenResourceError(f"connection broken: {error}") from error
                sent += moved
                if sent < len(view):
                    await self.transport_stream.wait_send_all_might_not_block()

    async def wait_send_all_might_not_block(self) -> None:
        """As trio's."""
        await self.transport_stream.wait_send_all_might_not_block()

    def goodbye(self) -> None:
        """Tell the peer that nothing more comes (close_notify), if that can be done at once."""
        if self._unsent:
            return
        with suppress(ssl.SSLError):
            # It also waits for the peer's goodbye, which is of no interest.
            self._object.unwrap()
        with suppress(OSError):
            self._push()

    def _encrypt(self, piece: memoryview) -> None:
        try:
            self._object.write(piece)
        except ssl.SSLError as error:
            raise BrokenPipeError(f"TLS failed: {error}") from error

    def _push(self) -> bool:
        """Hand what is encrypted to the kernel; whether it took all of it."""
        data = self._unsent + self._outgoing.read() if self._unsent else self._outgoing.read()
        if not data:
            return True
        sent = self.transport_stream.send_nowait(data)
        self._unsent = data[sent:]
        return not self._unsent

    async def _flush(self) -> None:
        try:
            while not self._push():
                await self.transport_stream.wait_send_all_might_not_block()
        except OSError as error:
            raise trio.BrokenResourceError(f"connection broken: {error}") from error

    # --- receiving --------------------------------------------------------------------------

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """As trio's; an end without TLS's goodbye is an end, since HTTP delimits its messages itself."""
        most = max_bytes or RECEIVE_SIZE
        while True:
            data = self._decrypt(most)
            if data is not None:
                return data
            await self._take_in()

    def receive_nowait(self, max_bytes: int) -> bytes | None:
        """What has come, None if nothing has. OSError if the connection is broken."""
        while True:
            data = self._decrypt(max_bytes)
            if data is not None:
                return data
            raw = self.transport_stream.receive_nowait(_INTAKE)
            if raw is None:
                return None
            self._feed(raw)

    def is_quiet(self) -> bool:
        """Whether the peer has neither sent anything that is still unread, nor closed."""
        if not self._incoming.pending and self.transport_stream.is_quiet():
            return not self._object.pending()
        try:
            return self.receive_nowait(1) is None
        except (trio.BrokenResourceError, OSError):
            return False

    def _decrypt(self, most: int) -> bytes | None:
        """What can be read of what has been taken in; empty at the end, None if there is nothing yet."""
        pieces: list[bytes] = []
        size = 0
        try:
            while size < most:
                piece = self._object.read(min(_RECORD, most - size))
                if not piece:
                    break
                pieces.append(piece)
                size += len(piece)
                if not self._incoming.pending and not self._object.pending():
                    break
        except ssl.SSLWantReadError:
            if not pieces:
                return None
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            pass
        except ssl.SSLError as error:
            if not pieces:
                raise trio.BrokenResourceError(f"TLS failed: {error}") from error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _take_in(self) -> None:
        self._feed(await self.transport_stream.receive_some(_INTAKE))

    def _feed(self, raw: bytes) -> None:
        if raw:
            self._incoming.write(raw)
        else:
            self._incoming.write_eof()

    # --- the end ----------------------------------------------------------------------------

    def wake(self) -> None:
        """As of a QuickStream."""
        self.transport_stream.wake()

    def close(self) -> None:
        """Close at once. Idempotent."""
        self.transport_stream.close()

    async def aclose(self) -> None:
        """Close. Without a `goodbye`, which is for whoever knows that nothing is missing."""
        await self.transport_stream.aclose()


Quick: TypeAlias = QuickStream | QuickTLS
"""A stream that can send and close without waiting."""

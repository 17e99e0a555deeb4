"""One connection to the scripted vendor, over any trio stream: requests in, planned answers out, byte by byte.

What happens before a request is read, and after an answer, is decided here; the answer itself is `playing`'s.
"""

from __future__ import annotations

import math
import random
import socket
import struct
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import trio

from ...runtime.wire.server_parser import BadRequest, RequestHead, RequestParser
from . import control
from .chance import draw
from .exchange import NotFound
from .playing import GONE, Playing
from .script import ConnectionRule

if TYPE_CHECKING:
    from .vendor import ScriptedVendor

__all__ = ["Connection", "reset"]

_RECEIVE: Final = 64 * 1024
_MOST_BODY: Final = 64 * 2**20


async def reset(stream: trio.abc.Stream) -> None:
    """End `stream` as abruptly as it can be ended: a socket by RST, a stream in memory by its own `reset`."""
    bare = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    if isinstance(bare, trio.SocketStream):
        # A lingering time of zero makes the close an RST.
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        bare.socket.close()
    abrupt = getattr(bare, "reset", None)
    if callable(abrupt):
        abrupt()
    await trio.aclose_forcefully(stream)


class Connection:
    """Serves `stream` until it ends; `run` it once."""

    def __init__(self, vendor: ScriptedVendor, stream: trio.abc.Stream, number: int) -> None:
        self._vendor = vendor
        self._stream = stream
        self._number = number
        self._parser = RequestParser(most_head=64 * 1024, most_headers=100, most_body=_MOST_BODY)
        self._exchanges = 0

    async def run(self, rule: ConnectionRule, rng: random.Random) -> None:
        """Play `rule`, and then serve. The stream is closed at the end."""
        async with self._stream:
            await trio.sleep(draw(rule.delay, rng))
            if rule.act in ("refuse", "reset", "unresolved", "untrusted"):
                self._vendor.turned_away += 1
                await reset(self._stream)
            elif rule.act in ("blackhole", "drop"):
                self._vendor.turned_away += rule.act == "drop"
                await self._swallow()
            else:
                self._vendor.accepted += 1
                with suppress(*GONE):
                    await self._serve()

    async def _swallow(self) -> None:
        """Take everything and say nothing, until the client leaves."""
        with suppress(*GONE):
            while await self._stream.receive_some(_RECEIVE):
                pass

    async def _serve(self) -> None:
        while True:
            try:
                head = await self._head()
                if head is None:
                    return
                if self._vendor.selector.closed(self._vendor.elapsed):
                    # Nothing listens any more, and so nothing answers on the connections of before.
                    self._vendor.turned_away += 1
                    await reset(self._stream)
                    return
                body = await self._body()
            except BadRequest as error:
                await self._simple(error.status, b'{"error": "not valid HTTP"}', keep=False)
                return
            if body is None or not await self._respond(head, body):
                return

    # --- requests ---------------------------------------------------------------------------

    async def _head(self) -> RequestHead | None:
        idle = self._vendor.script.keep_alive if self._exchanges else None
        with trio.move_on_after(math.inf if idle is None else idle):
            while True:
                head = self._parser.head()
                if head is not None:
                    if head.expects_continue:
                        await self._stream.send_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                    return head
                if not await self._more():
                    return None
        return None

    async def _body(self) -> bytes | None:
        pieces = []
        while not self._parser.body_done:
            piece = self._parser.body()
            if piece is not None:
                pieces.append(piece)
            elif not await self._more():
                return None
        return b"".join(pieces)

    async def _more(self) -> bool:
        data = await self._stream.receive_some(_RECEIVE)
        self._parser.feed(bytes(data))
        return bool(data)

    async def _respond(self, head: RequestHead, body: bytes) -> bool:
        """Answer one request; False when the connection has ended with it."""
        self._exchanges += 1
        path, _, query = head.target.decode("latin-1").partition("?")
        if path.startswith(control.PREFIX) or head.method != "POST":
            status, content = control.handle(self._vendor, head.method, path, query, body, head.headers)
            await self._simple(status, content, keep=head.keep_alive)
            return head.keep_alive
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        try:
            exchange = self._vendor.receive(path, query, headers, body, self._number)
        except NotFound:
            await self._simple(404, b'{"error": {"message": "nothing is served at this path"}}', keep=True)
            return head.keep_alive
        then = await Playing(self._stream, self._parser, exchange).run()
        if then == "reset":
            await reset(self._stream)
        return then == "keep" and head.keep_alive

    async def _simple(self, status: int, content: bytes, *, keep: bool) -> None:
        line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        close = "" if keep else "connection: close\r\n"
        head = f"{line}content-length: {len(content)}\r\n{close}\r\n"
        await self._stream.send_all(head.encode() + content)

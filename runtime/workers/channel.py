"""Messages over a stream: msgpack, each after its length in four bytes.

Both ends are ours, and still nothing that comes is taken on trust: a length has a limit, and what cannot be decoded ends the channel.
"""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

import msgspec
import trio

__all__ = ["MOST_BYTES", "Channel", "ChannelBroken"]

R = TypeVar("R")

MOST_BYTES: Final = 32 * 2**20
"""Of one message. The largest are the statistics of a worker with thousands of deployments."""
_READ: Final = 65_536
_LENGTH: Final = 4


class ChannelBroken(Exception):
    """The other end is gone, or says what cannot be understood."""


class Channel(Generic[R]):
    """One end. `incoming`: the type of what comes."""

    def __init__(self, stream: trio.abc.Stream, incoming: Any) -> None:
        self._stream = stream
        self._decode = msgspec.msgpack.Decoder(incoming).decode
        self._encode = msgspec.msgpack.Encoder().encode
        self._buffer = bytearray()
        self._sending = trio.Lock()

    async def send(self, message: object) -> None:
        """Send one message, whole. Raises `ChannelBroken`; a cancelled one leaves the channel broken."""
        body = self._encode(message)
        if len(body) > MOST_BYTES:
            raise ChannelBroken(f"a message of {len(body)} bytes is longer than any may be")
        async with self._sending:
            try:
                await self._stream.send_all(len(body).to_bytes(_LENGTH, "big") + body)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise ChannelBroken(str(error)) from None

    async def receive(self) -> R | None:
        """The next message; None when the other end is gone. Raises `ChannelBroken`."""
        while True:
            message = self._next()
            if message is not None:
                return message
            try:
                piece = await self._stream.receive_some(_READ)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not piece:
                return None
            self._buffer += piece

    def _next(self) -> R | None:
        buffer = self._buffer
        if len(buffer) < _LENGTH:
            return None
        length = int.from_bytes(buffer[:_LENGTH], "big")
        if length > MOST_BYTES:
            raise ChannelBroken(f"a message of {length} bytes is longer than any may be")
        if len(buffer) < _LENGTH + length:
            return None
        body = bytes(buffer[_LENGTH : _LENGTH + length])
        del buffer[: _LENGTH + length]
        try:
            message: R = self._decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ChannelBroken(f"a message cannot be read: {error}") from None
        return message

    async def aclose(self) -> None:
        """Close this end."""
        await self._stream.aclose()

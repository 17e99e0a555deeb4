"""One answer, from its plan to its outcome: written byte by byte, each at its time, and counted as it is written.

While it is played, a second task listens on the same stream: that is how the vendor notices at once that the client has
left. A token counts as sent when its event has been written whole.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, Literal, TypeAlias

import trio

from ...runtime.wire.server_parser import RequestParser
from .exchange import Exchange
from .meter import Outcome
from .spoil import Frame

__all__ = ["GONE", "Playing", "Then"]

GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError)
"""What a stream raises when its other end has gone."""

Then: TypeAlias = Literal["keep", "close", "reset"]
"""What becomes of the connection."""

_RECEIVE: Final = 64 * 1024
_MOST_WAITING: Final = 256 * 1024
"""Bytes that a client may send beyond the request that is being answered."""

_DRIPS: Final = 20
"""Writes a second, at most, of an answer that drips."""


class Playing:
    """Plays `exchange` on `stream`; what the client sends meanwhile goes to `parser`, for later."""

    def __init__(self, stream: trio.abc.Stream, parser: RequestParser, exchange: Exchange) -> None:
        self._stream = stream
        self._parser = parser
        self._exchange = exchange
        self._attempt = exchange.attempt
        self._plan = exchange.plan
        self._step = exchange.step
        self._broke_off = False
        """The script's own end of the answer has been reached, short of a whole answer."""
        self._written = False
        """All that was to be written has been."""

    async def run(self) -> Then:
        """Play it. Whatever happens, the attempt is settled exactly once."""
        then: Then = "close"
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, nursery.cancel_scope)
                try:
                    then = await self._play()
                except GONE:
                    self._gone()
                nursery.cancel_scope.cancel()
        finally:
            self._attempt.delivered = self._written
            if self._written:
                # Who has read all of it may leave before we have come back from writing it.
                self._attempt.client_closed_at = None
            self._exchange.settle(self._outcome(), trio.current_time())
        return then

    def _outcome(self) -> Outcome:
        if self._step.act != "answer":
            return "unanswered" if self._broke_off else "client_closed"
        if self._broke_off:
            return "broken"
        if not self._written:
            # Without a client that left, it is the vendor itself that was ended.
            return "broken" if self._attempt.client_closed_at is None else "client_closed"
        if self._plan.status >= 400:
            return "refused"
        return "complete" if self._plan.sound else "broken"

    async def _watch(self, scope: trio.CancelScope) -> None:
        """Notice that the client leaves; keep what it sends before its turn, within a bound."""
        try:
            while data := await self._stream.receive_some(_RECEIVE):
                self._parser.feed(bytes(data))
                if self._parser.buffered > _MOST_WAITING:
                    break
        except GONE:
            pass
        self._gone()
        scope.cancel()

    def _gone(self) -> None:
        if self._attempt.client_closed_at is None:
            self._attempt.client_closed_at = trio.current_time()

    # --- the answer, in order ---------------------------------------------------------------

    async def _play(self) -> Then:
        await _until(trio.current_time() + self._plan.before_head)
        if self._step.act != "answer":
            return await self._end("stall" if self._step.act == "blackhole" else self._step.act)
        await self._generate()
        self._attempt.status = self._plan.status
        await self._send(self._head())
        await self._frames()
        return await self._end(self._plan.ending)

    async def _generate(self) -> None:
        """Let the tokens of an answer in one piece come, each at its time."""
        due = trio.current_time()
        for gap in self._plan.generation:
            if gap:
                due += gap
                await _until(due)
            self._attempt.generated_tokens += 1

    async def _frames(self) -> None:
        plan, attempt = self._plan, self._attempt
        due = trio.current_time()
        frame = next(plan.frames, None)
        if frame is None and plan.ending in ("whole", "end"):
            await self._body(self._last_chunk())
        while frame is not None:
            if frame.gap:
                due += frame.gap
                await _until(due)
            if not plan.generation:
                attempt.generated_tokens += frame.tokens
            # Looking ahead, so that the last event and the end of the body are one write: who has the
            # terminal event may close the connection at once, and has left nothing unread.
            following = next(plan.frames, None)
            last = self._last_chunk() if following is None and plan.ending in ("whole", "end") else b""
            await self._body(self._framed(frame) + last)
            attempt.sent_tokens += frame.tokens
            frame = following

    async def _end(self, how: Literal["whole", "end", "eof", "close", "reset", "stall"]) -> Then:
        if how == "whole":
            self._written = True
            return "close" if self._plan.until_close else self._step.then
        self._broke_off = True
        if how == "end":
            self._written = True
            # A body whose length was announced cannot end early as HTTP wants it.
            return "keep" if self._plan.length is None and not self._plan.until_close else "close"
        if how == "stall":
            await trio.sleep_forever()
        return "reset" if how == "reset" else "close"

    # --- bytes ------------------------------------------------------------------------------

    def _head(self) -> bytes:
        plan = self._plan
        lines = [f"HTTP/1.1 {plan.status} {_phrase(plan.status)}"]
        lines += [f"{name}: {value}" for name, value in plan.headers.items()]
        if plan.length is not None:
            lines.append(f"content-length: {plan.length}")
        elif not plan.until_close:
            lines.append("transfer-encoding: chunked")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")

    def _framed(self, frame: Frame) -> bytes:
        if frame.raw or self._plan.length is not None or self._plan.until_close or not frame.data:
            return frame.data
        return b"%x\r\n%b\r\n" % (len(frame.data), frame.data)

    def _last_chunk(self) -> bytes:
        return b"0\r\n\r\n" if self._plan.length is None and not self._plan.until_close else b""

    async def _body(self, data: bytes) -> None:
        """Write a part of the body, as slowly as the step says."""
        rate = self._step.drip
        if rate is None:
            await self._send(data)
            return
        piece = max(1, int(rate / _DRIPS))
        for start in range(0, len(data), piece):
            part = data[start : start + piece]
            await trio.sleep(len(part) / rate)
            await self._send(part)

    async def _send(self, data: bytes) -> None:
        most = self._step.slice or len(data)
        for start in range(0, len(data), most or 1):
            part = data[start : start + most]
            await self._stream.send_all(part)
            self._attempt.bytes_sent += len(part)


async def _until(when: float) -> None:
    """Sleep until `when`, if that lies ahead."""
    if when > trio.current_time():
        await trio.sleep_until(when)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"

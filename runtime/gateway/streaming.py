"""A streamed answer on its way to the client. Alike in every interface: its writer knows the words."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

import trio

from ..canon import Event
from ..errors import DispatchError
from ..reply import Reply
from ..stream import EventStream
from .dispatching import cost_comment, headers_of_stream
from .failures import failure_of, stopping
from .http import Exchange, Headers
from .styles import Style

__all__ = ["StreamWriter", "deliver"]

_EVENTS: Final = b"text/event-stream; charset=utf-8"
_LAST_WORDS: Final = 0.2
"""Seconds after a request's deadline that its error may take to be written."""
_MOST_AT_ONCE: Final = 32_768
"""Bytes that are gathered at most before they are sent."""


class StreamWriter(Protocol):
    """One answer in an interface's own format, as bytes."""

    def write(self, event: Event, /) -> bytes:
        """The bytes for one event; empty for one that clients are not told of."""

    def error(self, envelope: dict[str, Any], /) -> bytes:
        """An error as the last event, after which nothing says that the answer is complete."""

    def close(self) -> bytes:
        """The proper end."""


async def deliver(
    events: EventStream,
    writer: StreamWriter,
    exchange: Exchange,
    *,
    content_type: bytes = _EVENTS,
    cost: Callable[[Reply | None], bytes] = cost_comment,
) -> None:
    """Send the whole of `events`, which has its first content. A failure from here on can only be an event.

    `cost` says before the end what it cost; a comment is not for every interface.
    """
    about: Headers = [(b"content-type", content_type), (b"cache-control", b"no-cache")]
    writing = False
    # A client who does not take what is written would keep the request beyond its deadline.
    with trio.CancelScope(deadline=events.deadline + _LAST_WORDS) as scope:
        await exchange.start(
            200,
            [*about, *headers_of_stream(events)],
            # Without the exchange: the server keeps this, and the exchange the server's `send`.
            farewell=partial(_farewell, writer, exchange.style, exchange.request_id),
        )
        try:
            gathered = bytearray()
            async for event in events:
                gathered += writer.write(event)
                # What came together goes on together, since the sending is what costs; nothing waits for more.
                if gathered and (not events.more or len(gathered) >= _MOST_AT_ONCE):
                    writing = True
                    await exchange.write(bytes(gathered))
                    writing = False
                    gathered.clear()
        except DispatchError as error:
            # The body is left without its end, so that the connection closes: nobody can take this for a whole answer.
            await exchange.write(writer.error(exchange.envelope(failure_of(error))))
            return
        writing = True
        await exchange.end(cost(events.reply) + writer.close())
    if scope.cancelled_caught and not writing:
        # The loop came back so late that both times had passed, the deadline's own and that for its last words.
        with trio.move_on_after(_LAST_WORDS):
            await exchange.write(writer.error(exchange.envelope(failure_of(events.too_late()))))


def _farewell(writer: StreamWriter, style: Style, request_id: str) -> bytes:
    """The last words of a stream that the server has to end."""
    return writer.error(style.envelope(failure_of(stopping()), request_id))

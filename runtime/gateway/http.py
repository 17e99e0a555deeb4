"""What the endpoints share: reading a body, writing an answer, naming a request."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from ...actors.messages import VendorSnapshot
from ..canon import Criticality
from ..workers.protocol import Portrait
from .styles import Failure, Style

__all__ = [
    "FAREWELL",
    "BodyTooLarge",
    "ClientGone",
    "Exchange",
    "Fellows",
    "Headers",
    "Receive",
    "Report",
    "Scope",
    "Send",
    "Unserved",
    "encode",
    "request_id_of",
]

Scope: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
Report: TypeAlias = Callable[[], Any]
Headers: TypeAlias = list[tuple[bytes, bytes]]

encode: Final = msgspec.json.Encoder(decimal_format="number").encode

FAREWELL: Final = "llm_dispatcher.farewell"
"""ASGI extension of a server that has a last word for streams which it must end (`wire.server_cycle`)."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9_.:\-]{1,128}")


class Unserved(Protocol):
    """A request that the server answers itself; `str` of it says why."""

    status: int
    code: str
    path: str
    headers: list[tuple[bytes, bytes]]


def request_id_of(headers: Mapping[bytes, bytes]) -> str | None:
    """The name that the client has given its request, if it is one."""
    given = headers.get(b"x-request-id", b"")
    return given.decode() if _REQUEST_ID.fullmatch(given) else None


class ClientGone(Exception):
    """The client left before its request, or the answer to it, was complete."""


class BodyTooLarge(Exception):
    """The body is larger than the configuration allows."""


class Fellows(Protocol):
    """The other processes that serve with this one (`runtime.workers`)."""

    async def stats(self, own: Portrait) -> dict[str, Any]:
        """The body of `GET /v1/stats` over all of them."""

    async def order(self, target: str, order: str, own: VendorSnapshot) -> Any:
        """An order that was carried out here is carried out everywhere; how the vendor stands then."""


class Exchange:
    """One request and its answer, over ASGI. `style`: of the interface that the client speaks."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        request_id: str,
        style: Style,
        reports: Mapping[str, Report] | None = None,
        fellows: Fellows | None = None,
    ) -> None:
        self.scope = scope
        self.reports = reports or {}
        self.fellows = fellows
        self.receive = receive
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.request_id = request_id_of(self.headers) or request_id
        self.style = style
        self.started = False
        self.criticality: Criticality = "critical"
        """By the request's header, or the configured default."""
        self._send = send

    def header(self, name: bytes) -> str | None:
        """A header of the request as text, the values of several of one name joined; None if it was not sent."""
        if name not in self.headers:
            return None
        return b", ".join([value for key, value in self.scope["headers"] if key == name]).decode("latin-1")

    def envelope(self, failure: Failure) -> dict[str, Any]:
        """The body that tells the client of an error."""
        return self.style.envelope(failure, self.request_id)

    async def body(self, most: int) -> bytes:
        """The request's whole body. Raises `BodyTooLarge` beyond `most` bytes, `ClientGone` if it is cut."""
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] != "http.request":
                raise ClientGone
            piece = message.get("body", b"")
            size += len(piece)
            if size > most:
                raise BodyTooLarge
            pieces.append(piece)
            if not message.get("more_body", False):
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def answer(self, status: int, body: bytes, headers: Headers | None = None) -> None:
        """Send a whole answer of JSON."""
        await self.start(
            status,
            [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                *(headers or ()),
            ],
        )
        await self._tell({"type": "http.response.body", "body": body, "more_body": False})

    async def start(self, status: int, headers: Headers, farewell: Callable[[], bytes] | None = None) -> None:
        """Send the head of an answer; `write` and `end` send its body.

        `farewell` makes what is sent last if the server is stopped before the answer has ended.
        """
        self.started = True
        named = self.request_id.encode()
        message: dict[str, Any] = {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, *[(name, named) for name in self.style.id_headers]],
        }
        if farewell is not None and FAREWELL in self.scope.get("extensions", {}):
            message[FAREWELL] = farewell
        await self._tell(message)

    async def write(self, piece: bytes) -> None:
        """Send a piece of the body."""
        await self._tell({"type": "http.response.body", "body": piece, "more_body": True})

    async def end(self, piece: bytes = b"") -> None:
        """Send the last piece of the body."""
        await self._tell({"type": "http.response.body", "body": piece, "more_body": False})

    async def _tell(self, message: dict[str, Any]) -> None:
        try:
            await self._send(message)
        except OSError as error:
            # So ASGI has it: a server's `send` raises an OSError of its own when the client has left.
            raise ClientGone from error

"""Anything that speaks OpenAI's chat completions: our own daemon, another gateway, a vendor.

The client is the dispatcher's own (`runtime.wire`), because a generator must cost little beside what it measures. An
answer is whole only if it says so: a stream that ends as HTTP wants it, but without a finish reason and without `[DONE]`, is
a failure here (`silent end`), although many a client would show it as whole.
"""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import httpx
import msgspec
import trio
from msgspec import Struct

from ....runtime.wire.client import ClientLimits, StaleConnection, TrioTransport
from ....runtime.wire.sse import OversizedEvent, SSEDecoder
from ..jobs import Job, prompt
from ..watch import Watch
from .base import Target

__all__ = ["Address", "over_http"]

_MOST_BODY: Final = 64 * 2**20
"""Bytes of an answer that is not streamed; who sends more is not read on."""
_CONNECT: Final = 10.0
"""Seconds for a connection to come about."""
_FAREWELL: Final = 0.2
"""Seconds for the end of a body whose answer has said that it is complete; beyond it the connection is not kept."""
_COST: Final = re.compile(rb"^: x-dispatch-cost ([0-9.]+)", re.MULTILINE)
"""Our daemon's word at a stream's end."""


class Address(Struct, frozen=True, kw_only=True):
    """Where requests go. `base` is what clients are configured with, with or without `/v1`, or the whole endpoint."""

    base: str
    model: str
    key: str | None = None
    headers: Mapping[str, str] = {}

    @property
    def endpoint(self) -> httpx.URL:
        """The address of chat completions. Raises `ValueError` for what is none."""
        try:
            url = httpx.URL(self.base)
        except httpx.InvalidURL as error:
            raise ValueError(f"{self.base!r} is no address: {error}") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(f"{self.base!r} is no address; write it like http://127.0.0.1:4000")
        path = url.path.rstrip("/")
        if not path.endswith("/chat/completions"):
            path = f"{path or '/v1'}/chat/completions"
        return url.copy_with(path=path)

    def __repr__(self) -> str:
        """Without key and headers."""
        return f"Address({self.base!r}, model={self.model!r})"


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Said(Struct):
    content: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None

    def __len__(self) -> int:
        return len(self.content or "") + len(self.reasoning_content or "") + len(self.refusal or "")


class _Choice(Struct):
    delta: _Said | None = None
    message: _Said | None = None
    finish_reason: str | None = None


class _Answer(Struct):
    """As much of an answer, or of a chunk of one, as is looked at."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


_decode: Final = msgspec.json.Decoder(_Answer).decode
_decode_anything: Final = msgspec.json.Decoder().decode


class _OverHTTP(Target):
    in_process = False

    def __init__(self, address: Address, transport: TrioTransport, *, stream: bool, timeout: float) -> None:
        self.description = f"{address.endpoint}"
        self._url = address.endpoint
        self._model = address.model
        self._transport = transport
        self._stream = stream
        waits = None if math.isinf(timeout) else timeout
        self._extensions = {"timeout": {"connect": _CONNECT, "pool": waits}}
        self._headers = [
            (b"host", self._url.netloc),
            (b"content-type", b"application/json"),
            (b"accept", b"text/event-stream" if stream else b"application/json"),
            *[(name.encode(), value.encode()) for name, value in address.headers.items()],
        ]
        if address.key is not None:
            self._headers.append((b"authorization", b"Bearer " + address.key.encode()))

    async def send(self, job: Job, watch: Watch) -> None:
        request = self._request(job)
        try:
            try:
                response = await self._transport.handle_async_request(request)
            except StaleConnection:
                # A kept connection was closed meanwhile: nobody's failure, and any client would send it again.
                request.extensions = {**request.extensions, "fresh": True}
                response = await self._transport.handle_async_request(request)
        except httpx.TransportError as error:
            watch.fail(_class_of(error), str(error))
            return
        body = response.stream
        if not isinstance(body, httpx.AsyncByteStream):
            raise TypeError("a body that cannot be read asynchronously")
        try:
            await self._read(response, body, watch)
        except httpx.TransportError as error:
            watch.fail(_class_of(error), str(error))
        finally:
            await body.aclose()

    def _request(self, job: Job) -> httpx.Request:
        asked: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": "user", "content": prompt(job)}],
            "max_tokens": job.output_tokens,
        }
        if self._stream:
            asked |= {"stream": True, "stream_options": {"include_usage": True}}
        body = msgspec.json.encode(asked)
        headers = [*self._headers, (b"content-length", b"%d" % len(body))]
        return httpx.Request(
            "POST", self._url, headers=headers, stream=httpx.ByteStream(body), extensions=self._extensions
        )

    async def _read(self, response: httpx.Response, body: httpx.AsyncByteStream, watch: Watch) -> None:
        # Once over all of them costs less than asking for a few.
        headers = {name.lower(): value.decode("latin-1") for name, value in response.headers.raw}
        watch.vendor = headers.get(b"x-dispatch-vendor")
        watch.cost = _dollars(headers.get(b"x-dispatch-cost"))
        attempts = headers.get(b"x-dispatch-attempts", "")
        if attempts.isdigit():
            watch.attempts = int(attempts)
        kind = headers.get(b"content-type", "")
        if response.status_code != 200:
            watch.fail(f"http {response.status_code}", _message(await _whole(body)))
        elif kind.startswith("text/event-stream"):
            await _read_stream(body, watch)
        elif self._stream:
            watch.fail("no stream", f"content type {kind or '(none)'}")
        else:
            _read_whole(await _whole(body), watch)


async def _whole(body: httpx.AsyncByteStream) -> bytes:
    pieces, size = [], 0
    async for piece in body:
        pieces.append(piece)
        size += len(piece)
        if size > _MOST_BODY:
            break
    return b"".join(pieces)


def _read_whole(body: bytes, watch: Watch) -> None:
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        watch.fail("garbage", f"{error}: {body[:100]!r}")
        return
    if answer.error is not None:
        watch.fail("error in an answer of status 200", _message(body))
    elif not answer.choices:
        watch.fail("garbage", f"an answer without choices: {body[:100]!r}")
    else:
        watch.characters = sum(len(choice.message or ()) for choice in answer.choices)
        _count(answer.usage, watch)


async def _read_stream(body: httpx.AsyncByteStream, watch: Watch) -> None:
    decoder, finished = SSEDecoder(), False
    async for piece in body:
        if b": x-dispatch-cost " in piece and (told := _COST.search(piece)):
            watch.cost = _dollars(told[1].decode())
        try:
            events = decoder.feed(piece)
        except OversizedEvent as error:
            watch.fail("garbage", str(error))
            return
        for event in events:
            if event.data == b"[DONE]":
                await _part(body)
                return
            finished = _read_event(event.data, watch) or finished
        # What it says after an error makes it no better, and the connection is not worth keeping.
        if watch.error is not None:
            return
    if not finished:
        watch.fail("silent end", f"the stream ended without a finish reason, after {watch.pieces} pieces")


async def _part(body: httpx.AsyncByteStream) -> None:
    """Read on to the end, so that the connection can be kept. The answer is there, whatever comes of that."""
    with trio.move_on_after(_FAREWELL), suppress(httpx.TransportError):
        async for _ in body:
            pass


def _read_event(data: bytes, watch: Watch) -> bool:
    """Whether it has a finish reason."""
    try:
        chunk = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        watch.fail("garbage", f"{error}: {data[:100]!r}")
        return False
    if chunk.error is not None:
        watch.fail("error within a stream", _message(data))
        return False
    finished = False
    for choice in chunk.choices or ():
        if choice.delta is not None and (characters := len(choice.delta)):
            watch.content(characters)
        finished = finished or choice.finish_reason is not None
    _count(chunk.usage, watch)
    return finished


def _count(usage: _Usage | None, watch: Watch) -> None:
    if usage is not None:
        watch.input_tokens = usage.prompt_tokens or 0
        watch.output_tokens = usage.completion_tokens or 0


def _message(body: bytes) -> str:
    """What an error says, in whatever way it says it."""
    try:
        told = _decode_anything(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body[:200].decode("utf-8", "replace")
    error = told.get("error", told) if isinstance(told, dict) else told
    message = error.get("message", error) if isinstance(error, dict) else error
    return message if isinstance(message, str) else repr(message)


def _dollars(text: str | None) -> Decimal | None:
    try:
        cost = Decimal(text) if text else None
    except InvalidOperation:
        return None
    return cost if cost is not None and cost.is_finite() and cost >= 0 else None


_CLASSES: Final[tuple[tuple[type[httpx.TransportError], str], ...]] = (
    (httpx.ConnectTimeout, "no connection"),
    (httpx.PoolTimeout, "no connection free"),
    (httpx.ConnectError, "no connection"),
    (httpx.TimeoutException, "timeout"),
)


def _class_of(error: httpx.TransportError) -> str:
    return next((name for kind, name in _CLASSES if isinstance(error, kind)), "connection lost")


@asynccontextmanager
async def over_http(
    address: Address, *, stream: bool, timeout: float, connections: int
) -> AsyncIterator[Target]:
    """Requests to `address`, over at most `connections` connections. Raises `ValueError` for what is no address."""
    limits = ClientLimits(max_connections=connections)
    transport = TrioTransport(limits=limits)
    try:
        yield _OverHTTP(address, transport, stream=stream, timeout=timeout)
    finally:
        await transport.aclose()

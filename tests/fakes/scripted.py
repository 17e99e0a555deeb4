"""A scripted vendor: an httpx transport that answers each request with the next step of its script."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import msgspec
import trio

__all__ = ["Script", "ScriptedTransport", "answer", "config", "hang", "piece", "refuse", "status", "stream"]


class Script(msgspec.Struct, kw_only=True):
    """One answer: after `after` seconds a status, headers, and pieces, each sent `gap` seconds after the last.

    `cut`: the connection breaks after the pieces; `hang`: nothing follows them. `error` is raised in place of an answer.
    """

    status: int = 200
    headers: dict[str, str] = {}
    pieces: list[bytes] = []
    after: float = 0.0
    gap: float = 0.0
    cut: bool = False
    hang: bool = False
    error: Exception | None = None


def answer(text: str = "hello", *, after: float = 0.0, usage: tuple[int, int] = (10, 5)) -> Script:
    """A whole answer."""
    body = {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)},
    }
    return Script(pieces=[json.dumps(body).encode()], after=after)


def piece(text: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    """One chunk of a stream."""
    delta = {} if text is None else {"content": text}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    chunk = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": choices,
        **more,
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def stream(*texts: str, end: bool = True, **more: Any) -> Script:
    """A streamed answer; without `end` it stops after the last text."""
    pieces = [piece(""), *(piece(text) for text in texts)]
    if end:
        usage = {"prompt_tokens": 10, "completion_tokens": len(texts), "total_tokens": 10 + len(texts)}
        pieces += [piece(None, "stop"), piece(None, choices=[], usage=usage), b"data: [DONE]\n\n"]
    return Script(pieces=pieces, **more)


def status(
    code: int, /, message: str = "no", *, headers: dict[str, str] | None = None, **error: Any
) -> Script:
    """A refusal in OpenAI's envelope."""
    return Script(
        status=code,
        headers=headers or {},
        pieces=[json.dumps({"error": {"message": message, **error}}).encode()],
    )


def refuse() -> Script:
    """No connection."""
    return Script(error=httpx.ConnectError("connection refused"))


def hang() -> Script:
    """A connection, and then nothing."""
    return Script(after=1e9)


class _Body(httpx.AsyncByteStream):
    def __init__(self, script: Script, owner: ScriptedTransport) -> None:
        self._script = script
        self._owner = owner
        self._open = True
        self._broken = False
        self._pieces = self._play()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """As the real transport's: who is cancelled while he waits has lost the connection."""
        if self._broken:
            raise httpx.StreamClosed
        self._broken = True
        try:
            piece = await self._next()
        except StopAsyncIteration:
            self._broken = False
            raise
        self._broken = False
        return piece

    async def _next(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._script.gap:
            await trio.sleep(self._script.gap)
        try:
            return next(self._pieces)
        except StopIteration:
            pass
        if self._script.hang:
            await trio.sleep_forever()
        if self._script.cut:
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")
        raise StopAsyncIteration

    def _play(self) -> Iterator[bytes]:
        yield from self._script.pieces

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            self._owner.open -= 1


class ScriptedTransport(httpx.AsyncBaseTransport):
    """Plays `scripts` in order and then the last one for ever. `sent` keeps (time, body) of every request."""

    def __init__(self, *scripts: Script | Callable[[], Script]) -> None:
        self._scripts = list(scripts)
        self.sent: list[tuple[float, dict[str, Any]]] = []
        self.open = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = b"".join([chunk async for chunk in _chunks(request)])
        self.sent.append((trio.current_time(), json.loads(body)))
        step = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        script = step() if callable(step) else step
        await trio.sleep(script.after)
        if script.error is not None:
            raise script.error
        self.open += 1
        return httpx.Response(script.status, headers=script.headers, stream=_Body(script, self))


async def _chunks(request: httpx.Request) -> AsyncIterator[bytes]:
    stream_ = request.stream
    if isinstance(stream_, httpx.AsyncByteStream):
        async for chunk in stream_:
            yield chunk


def config(*vendors: str, **more: Any) -> dict[str, Any]:
    """A configuration with scripted vendors that all serve the model `m`, in order of preference."""
    return {
        "vendors": [
            {
                "name": name,
                "base_url": f"http://{name}.example/v1",
                "api_key": "k",
                "models": [{"name": "m", "price": {"input": "1", "output": "2"}}],
            }
            for name in vendors
        ],
        **more,
    }

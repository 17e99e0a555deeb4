"""The vendors' address: a plain HTTP/1.1 server in a thread of its own, so that clients may block.

Independent of the product's own server. The first element of a request's path is the dialect; `limited-` before it is the same
vendor on a day on which it refuses everything with 429.
"""

from __future__ import annotations

import json
import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import trio

from .asked import Malformed
from .chat_completions import Azure, ChatCompletions
from .cohere_chat import CohereChat
from .converse import Converse
from .face import Face
from .generate_content import Gemini, Vertex
from .messages import Messages
from .ollama_chat import OllamaChat
from .responses import Responses
from .said import Refusal, Said, answer_to, pieces

__all__ = ["FACES", "Vendors", "answering_vendors"]

FACES: Mapping[str, Callable[[], Face]] = {
    "openai": ChatCompletions,
    "openai-responses": Responses,
    "azure": Azure,
    "anthropic": Messages,
    "google": Gemini,
    "vertex": Vertex,
    "cohere": CohereChat,
    "bedrock": Converse,
    "ollama": OllamaChat,
}
"""Dialect -> how its vendor speaks."""

_LIMITED = "limited-"
_ENDLESS = 2000
"""Pieces of an answer that has no end, at the most: a client that never goes away shall fail, and not hang."""
_PACE = 0.005


class Vendors:
    """All of them. `complaints`: requests that were not as the vendor's interface has them, and why."""

    def __init__(self) -> None:
        self.port = 0
        self.complaints: deque[str] = deque(maxlen=100)
        self._left: Counter[str] = Counter()
        self._change = threading.Condition()

    def left(self, dialect: str) -> int:
        """How many answers of this vendor were not listened to until their end."""
        with self._change:
            return self._left[dialect]

    def await_left(self, dialect: str, more_than: int, patience: float = 5.0) -> bool:
        """Whether `left` gets beyond `more_than` within so many seconds."""
        with self._change:
            return self._change.wait_for(lambda: self._left[dialect] > more_than, patience)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._serve, listeners)

    async def _serve(self, stream: trio.SocketStream) -> None:
        received = _Requests(stream)
        try:
            while (request := await received.next()) is not None:
                await self._exchange(stream, *request)
        except trio.BrokenResourceError:
            return

    async def _exchange(
        self, stream: trio.SocketStream, target: str, headers: dict[str, str], body: bytes
    ) -> None:
        name, _, path = target.removeprefix("/").partition("/")
        dialect = name.removeprefix(_LIMITED)
        face = FACES[dialect]()
        try:
            asked = face.read(f"/{path}", headers, json.loads(body))
        except (Malformed, KeyError, TypeError) as error:
            self.complaints.append(f"{dialect}: {error!r} of {body.decode()}")
            await _refuse(stream, face, Refusal(400, f"malformed: {error}"))
            return
        said = Refusal(429, "Too many requests.") if name != dialect else answer_to(asked)
        if isinstance(said, Refusal):
            await _refuse(stream, face, said)
        elif asked.stream:
            try:
                await _stream(stream, face, said)
            except trio.BrokenResourceError:
                with self._change:
                    self._left[dialect] += 1
                    self._change.notify_all()
                raise
        else:
            await _send(stream, 200, {}, face.whole(said))


class _Requests:
    """The requests of one connection, one after the other."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = b""

    async def next(self) -> tuple[str, dict[str, str], bytes] | None:
        """Target, headers and body; None at the end."""
        while b"\r\n\r\n" not in self._buffer:
            received = await self._stream.receive_some()
            if not received:
                return None
            self._buffer += received
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers["content-length"])
        while len(self._buffer) < length:
            received = await self._stream.receive_some()
            if not received:
                return None
            self._buffer += received
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return first.split(" ")[1], headers, body


async def _stream(stream: trio.SocketStream, face: Face, said: Said) -> None:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {face.stream_type}\r\ntransfer-encoding: chunked\r\n\r\n"
    await stream.send_all(head.encode())
    for event in face.opening(said):
        await _chunk(stream, event)
    if said.endless:
        for _ in range(_ENDLESS):
            await _chunk(stream, face.token(said.text))
            await trio.sleep(_PACE)
    elif said.call is None:
        for piece in pieces(said.text):
            await _chunk(stream, face.token(piece))
    for event in face.closing(said):
        await _chunk(stream, event)
    await stream.send_all(b"0\r\n\r\n")


async def _chunk(stream: trio.SocketStream, data: bytes) -> None:
    await stream.send_all(b"%x\r\n%b\r\n" % (len(data), data))


async def _refuse(stream: trio.SocketStream, face: Face, refusal: Refusal) -> None:
    headers, body = face.refusal(refusal.status, refusal.message)
    await _send(stream, refusal.status, headers, body)


async def _send(stream: trio.SocketStream, status: int, headers: Mapping[str, Any], body: bytes) -> None:
    lines = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    head = f"HTTP/1.1 {status} Said\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    await stream.send_all(head.encode() + b"\r\n" + body)


@contextmanager
def answering_vendors() -> Iterator[Vendors]:
    """All vendors, serving from a thread of their own."""
    vendors = Vendors()
    begun: queue.Queue[tuple[trio.lowlevel.TrioToken, trio.CancelScope]] = queue.Queue()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(vendors.run)
            begun.put((trio.lowlevel.current_trio_token(), nursery.cancel_scope))

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    token, scope = begun.get(timeout=10)
    try:
        yield vendors
    finally:
        trio.from_thread.run_sync(scope.cancel, trio_token=token)
        thread.join(10)

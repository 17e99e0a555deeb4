"""A replaying vendor: a plain HTTP/1.1 server on a real socket that answers with recorded exchanges.

Independent of the product's own server. The first element of a request's path is the number of the recording.
"""

from __future__ import annotations

import queue
import random
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import trio

from tests.corpus import Recording

__all__ = ["ReplayingVendor", "replaying"]

_HOP = frozenset({"content-length", "content-encoding", "transfer-encoding", "connection", "keep-alive"})


class ReplayingVendor:
    """Serves `recordings`; a streamed one in the pieces it was recorded in, else in seeded random ones.

    `asked` keeps the head and the body of the last requests.
    """

    def __init__(self, recordings: Sequence[Recording], *, seed: int = 1) -> None:
        self._recordings = recordings
        self._rng = random.Random(seed)
        self.port = 0
        self.served = 0
        self.asked: deque[tuple[str, bytes]] = deque(maxlen=100)

    async def run(self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; tells its port when it listens."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started(self.port)
        await trio.serve_listeners(self._serve, listeners)

    async def _serve(self, stream: trio.SocketStream) -> None:
        try:
            buffer = b""
            while True:
                while b"\r\n\r\n" not in buffer:
                    received = await stream.receive_some()
                    if not received:
                        return
                    buffer += received
                head, _, buffer = buffer.partition(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                length = next(
                    int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length")
                )
                while len(buffer) < length:
                    buffer += await stream.receive_some()
                self.asked.append((head.decode("latin-1"), buffer[:length]))
                buffer = buffer[length:]
                await self._answer(stream, self._recordings[int(lines[0].split("/")[1])])
        except trio.BrokenResourceError:
            return

    async def _answer(self, stream: trio.SocketStream, recording: Recording) -> None:
        self.served += 1
        headers = {name: value for name, value in recording.headers.items() if name not in _HOP}
        head = f"HTTP/1.1 {recording.status} Recorded\r\n"
        head += "".join(f"{name}: {' '.join(value.split())}\r\n" for name, value in headers.items())
        if not recording.stream or recording.refused:
            await stream.send_all(
                (head + f"content-length: {len(recording.body)}\r\n\r\n").encode("latin-1") + recording.body
            )
            return
        await stream.send_all((head + "transfer-encoding: chunked\r\n\r\n").encode("latin-1"))
        for piece in self._pieces(recording):
            await stream.send_all(b"%x\r\n%b\r\n" % (len(piece), piece))
        await stream.send_all(b"0\r\n\r\n")

    def _pieces(self, recording: Recording) -> list[bytes]:
        body, pieces = recording.body, []
        sizes = iter(recording.chunks)
        while body:
            size = next(sizes, 0) or self._rng.randint(1, 4000)
            pieces.append(body[:size])
            body = body[size:]
        return pieces


@contextmanager
def replaying(recordings: Sequence[Recording]) -> Iterator[ReplayingVendor]:
    """A vendor that serves from a thread of its own, for clients that are not of this event loop."""
    vendor = ReplayingVendor(recordings)
    begun: queue.Queue[tuple[trio.lowlevel.TrioToken, trio.CancelScope]] = queue.Queue()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(vendor.run)
            begun.put((trio.lowlevel.current_trio_token(), nursery.cancel_scope))

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    token, scope = begun.get(timeout=10)
    try:
        yield vendor
    finally:
        trio.from_thread.run_sync(scope.cancel, trio_token=token)
        thread.join(10)

"""The callers: very many streams at once, each read to its end, and somebody who asks `/health` all the while."""

from __future__ import annotations

import argparse
import re
import selectors
import socket
import sys
import time
from collections import Counter
from typing import Final

import msgspec

__all__ = ["Callers", "Findings", "main"]

_STAMP: Final = re.compile(rb"word @([0-9.]+) ")
_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3})")
_PROBES: Final = 25
"""A second."""
_PATIENCE: Final = 30.0
"""Seconds beyond their time after which streams that have not ended are given up."""
_HEALTH: Final = b"GET /health HTTP/1.1\r\nhost: d\r\n\r\n"


class Findings(msgspec.Struct, frozen=True):
    """What came of it. Delays in milliseconds: of chunks from the vendor's sending to the caller's reading, and of
    answers to `/health`. `measured`: chunks that were read in the seconds after all streams had begun."""

    whole: int
    errors: dict[str, int]
    most_open: int
    chunks: int
    measured: int
    delay_p50: float
    delay_p99: float
    health_p50: float
    health_p99: float
    health_worst: float


class _Caller:
    __slots__ = ("begun", "sock", "tail")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.tail = b""
        self.begun = False


class Callers:
    """`streams` of `chunks` each, begun at `rate` a second. `settled` is printed when all have begun, and `measured` so many
    `seconds` later, for whoever measures between."""

    def __init__(self, port: int, streams: int, chunks: int, rate: float, seconds: float) -> None:
        self._port = port
        self._streams = streams
        self._chunks = chunks
        self._rate = rate
        self._seconds = seconds
        self._settled_at = 0.0
        self._read_before = 0
        self._measured = -1
        self._selector = selectors.DefaultSelector()
        self._open: set[_Caller] = set()
        self._begun = 0
        self._most_open = 0
        self._whole = 0
        self._read = 0
        self._errors: Counter[str] = Counter()
        self._delays: list[float] = []
        self._health: list[float] = []
        self._asked_at = 0.0
        self._request = self._written()

    def run(self) -> Findings:
        """Begin, read, and tell."""
        start = time.monotonic()
        until = start + self._streams / self._rate + self._chunks + _PATIENCE
        probe = self._connect()
        probe.setblocking(False)
        self._selector.register(probe, selectors.EVENT_READ, None)
        while self._begun < self._streams or self._open:
            now = time.monotonic()
            if now > until:
                self._errors["not ended in time"] += len(self._open)
                break
            while self._begun < min(self._streams, (now - start) * self._rate):
                self._begin()
            self._announce(now)
            if not self._asked_at and now >= start + len(self._health) / _PROBES:
                self._asked_at = time.monotonic()
                probe.send(_HEALTH)
            for key, _ in self._selector.select(1 / 500):
                if key.data is None:
                    self._probed(probe)
                else:
                    self._hear(key.data)
        probe.close()
        return self._findings()

    def _announce(self, now: float) -> None:
        """Tell whoever measures when to begin and when to end."""
        if self._begun == self._streams and not self._settled_at:
            self._settled_at, self._read_before = now, self._read
            print("settled", flush=True)
        if self._settled_at and self._measured < 0 and now >= self._settled_at + self._seconds:
            self._measured = self._read - self._read_before
            print("measured", flush=True)

    def _written(self) -> bytes:
        body = msgspec.json.encode(
            {
                "model": "m",
                "stream": True,
                "max_tokens": self._chunks,
                "messages": [{"role": "user", "content": "Tell me about foxes and dogs, slowly."}],
            }
        )
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: d\r\ncontent-type: application/json\r\n"
        return head + b"content-length: %d\r\n\r\n%b" % (len(body), body)

    def _connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _begin(self) -> None:
        self._begun += 1
        try:
            sock = self._connect()
            sock.sendall(self._request)
        except OSError as error:
            self._errors[type(error).__name__] += 1
            return
        sock.setblocking(False)
        caller = _Caller(sock)
        self._open.add(caller)
        self._selector.register(sock, selectors.EVENT_READ, caller)
        self._most_open = max(self._most_open, len(self._open))

    def _hear(self, caller: _Caller) -> None:
        try:
            data = caller.sock.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        now = time.monotonic()
        if not caller.begun:
            caller.begun = True
            status = _STATUS.match(data)
            if status is None or status[1] != b"200":
                self._end(caller, f"status {status[1].decode()}" if status else "no answer")
                return
        for stamp in _STAMP.finditer(data):
            self._read += 1
            self._delays.append(now - float(stamp[1]))
        caller.tail = (caller.tail + data)[-64:]
        if b"data: [DONE]" in caller.tail:
            self._end(caller, None)
        elif not data or b'"error"' in data:
            self._end(caller, "cut off")

    def _end(self, caller: _Caller, error: str | None) -> None:
        if error is None:
            self._whole += 1
        else:
            self._errors[error] += 1
        self._open.discard(caller)
        self._selector.unregister(caller.sock)
        caller.sock.close()

    def _probed(self, probe: socket.socket) -> None:
        if not probe.recv(65_536):
            raise ConnectionError("the daemon closed the connection for /health")
        self._health.append(time.monotonic() - self._asked_at)
        self._asked_at = 0.0

    def _findings(self) -> Findings:
        return Findings(
            whole=self._whole,
            errors=dict(self._errors),
            most_open=self._most_open,
            chunks=self._read,
            measured=self._measured,
            delay_p50=_quantile(self._delays, 0.5),
            delay_p99=_quantile(self._delays, 0.99),
            health_p50=_quantile(self._health, 0.5),
            health_p99=_quantile(self._health, 0.99),
            health_worst=_quantile(self._health, 1.0),
        )


def _quantile(values: list[float], share: float) -> float:
    """Milliseconds; 0 where there are none."""
    ordered = sorted(values)
    return 1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def main() -> None:
    """Run, and print the findings as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--chunks", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    chosen = parser.parse_args()
    findings = Callers(chosen.port, chosen.streams, chosen.chunks, chosen.rate, chosen.seconds).run()
    sys.stdout.buffer.write(msgspec.json.encode(findings) + b"\n")


if __name__ == "__main__":
    main()

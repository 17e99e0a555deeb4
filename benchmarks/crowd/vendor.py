"""The vendor: chat completions in chunks, one a second, as many as `max_tokens` asks for; over TLS if it has a certificate."""

from __future__ import annotations

import argparse
import re
import selectors
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final

__all__ = ["Vendor", "main"]

_SLOTS: Final = 100
"""Times within a second at which some of the streams get their chunk, so that they do not all at once."""
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_MOST_TOKENS: Final = re.compile(rb'"max_(?:completion_)?tokens": ?(\d+)')
_PLAIN: Final = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant",'
    b'"content":"well"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}'
)
_STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
_LAST: Final = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},'
    b'"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class _Peer:
    """One connection."""

    def __init__(self, sock: socket.socket, slot: int) -> None:
        self.sock = sock
        self.slot = slot
        self.asked = b""
        self.left = 0
        self.shaking = isinstance(sock, ssl.SSLSocket)


class Vendor:
    """See the module's text. Listens at a free port of the loopback."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._slots: list[set[_Peer]] = [set() for _ in range(_SLOTS)]
        self._accepted = 0
        self.port: int = self._listener.getsockname()[1]

    def run(self, goes_on: Callable[[], bool] = lambda: True) -> None:
        """Serve while `goes_on`."""
        slot, due = 0, time.monotonic()
        while goes_on():
            for key, _ in self._selector.select(max(0.0, due - time.monotonic())):
                if key.data is None:
                    self._accept()
                else:
                    self._hear(key.data)
            while time.monotonic() >= due:
                for peer in list(self._slots[slot]):
                    self._send_chunk(peer)
                slot, due = (slot + 1) % _SLOTS, due + 1 / _SLOTS

    def _accept(self) -> None:
        for _ in range(100):
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            sock.setblocking(False)
            self._accepted += 1
            peer = _Peer(sock, self._accepted % _SLOTS)
            self._selector.register(sock, selectors.EVENT_READ, peer)

    def _hear(self, peer: _Peer) -> None:
        try:
            if peer.shaking and isinstance(peer.sock, ssl.SSLSocket):
                peer.sock.do_handshake()
                peer.shaking = False
            data = peer.sock.recv(65_536)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            data = b""
        if not data:
            self._drop(peer)
            return
        peer.asked += data
        head, end, body = peer.asked.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if end and length is not None and len(body) >= int(length[1]):
            peer.asked = b""
            self._answer(peer, body)

    def _answer(self, peer: _Peer, body: bytes) -> None:
        if b'"stream":true' not in body:
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            self._send(peer, head % len(_PLAIN) + _PLAIN)
            return
        most = _MOST_TOKENS.search(body)
        peer.left = int(most[1]) if most else 10
        self._send(peer, _STREAM_HEAD)
        self._slots[peer.slot].add(peer)

    def _send_chunk(self, peer: _Peer) -> None:
        peer.left -= 1
        data = (
            b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
            b'{"content":"word @%.6f "},"finish_reason":null}]}\n\n' % time.monotonic()
        )
        piece = _chunk(data)
        if peer.left <= 0:
            piece += _chunk(_LAST) + b"0\r\n\r\n"
            self._slots[peer.slot].discard(peer)
        self._send(peer, piece)

    def _send(self, peer: _Peer, data: bytes) -> None:
        try:
            if peer.sock.send(data) < len(data):
                # A reader so slow that the kernel is full of it has no place in this measurement.
                self._drop(peer)
        except OSError:
            self._drop(peer)

    def _drop(self, peer: _Peer) -> None:
        self._slots[peer.slot].discard(peer)
        self._selector.unregister(peer.sock)
        peer.sock.close()


def main() -> None:
    """Print the port, and serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--certificate", help="PEM file with a certificate and its key")
    chosen = parser.parse_args()
    context = None
    if chosen.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chosen.certificate)
    vendor = Vendor(context)
    print(vendor.port, flush=True)
    vendor.run()


if __name__ == "__main__":
    main()

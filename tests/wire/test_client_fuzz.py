"""Whatever a vendor sends, a request ends: with a whole answer or an httpx error, and with nothing left open."""

import httpx
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.runtime.wire.client import TrioTransport
from trio.testing import MockClock

from tests.wire.client_peers import busy, fetch, opened, playing, post

fragments = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\n",
        b"Content-Length: 4\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"4\r\nbody\r\n",
        b"0\r\n\r\n",
        b"body",
        b"\0",
    ]
)
speeches = st.lists(fragments | st.binary(min_size=1, max_size=9), max_size=12)


@settings(max_examples=150, deadline=None)
@given(st.lists(speeches, min_size=1, max_size=4), st.booleans(), st.sampled_from([1, 100_000]))
def test_whatever_is_sent_the_request_ends(answers: list[list[bytes]], hangs: bool, body: int) -> None:
    speech = iter(answers)

    async def script(stream: trio.abc.Stream) -> None:
        while await stream.receive_some(70_000):
            for fragment in next(speech, [b"?"]):
                await stream.send_all(fragment)
            if not hangs:
                return

    async def run() -> None:
        async with playing(script) as peer:
            transport = TrioTransport(dial=peer.dial)
            for _ in answers:
                try:
                    with trio.fail_after(60):
                        request = post(b"x" * body, timeout={"read": 5, "write": 5, "connect": 5, "pool": 5})
                        status, _ = await fetch(transport, request)
                    assert status >= 200
                except httpx.TransportError:
                    assert busy(transport) == 0
            assert busy(transport) == 0
            assert opened(transport) == peer.open

    trio.run(run, clock=MockClock(autojump_threshold=0))

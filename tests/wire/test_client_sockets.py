"""The transport over real sockets: keep-alive, stale connections, timeouts, TLS, proxies, Unix sockets."""

import math
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trio
import trio.testing
import trustme
from llm_dispatcher.runtime.wire.client import (
    NameNotResolved,
    StaleConnection,
    TLSFailed,
    TrioTransport,
    dial_unix,
)
from llm_dispatcher.runtime.wire.client_errors import ConnectionRefused

from tests.wire.client_peers import (
    OK,
    Script,
    answering,
    busy,
    fetch,
    hang,
    listen,
    opened,
    post,
    read_request,
    serving,
)

AUTHORITY = trustme.CA()


def server_context(name: str, authority: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    context.set_alpn_protocols(["http/1.1"])
    return context


def over_tls(script: Script, context: ssl.SSLContext) -> Script:
    async def secured(stream: trio.abc.Stream) -> None:
        tls = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        await tls.do_handshake()
        await script(tls)

    return secured


async def test_exchanges_over_the_loopback_reuse_their_connection() -> None:
    listener, port = await listen()
    async with serving(answering(OK), listener), TrioTransport() as transport:
        for _ in range(10):
            assert await fetch(transport, post(url=f"http://127.0.0.1:{port}/", timeout={"read": 5})) == (
                200,
                b"ok",
            )
        statistics = transport.statistics()
        assert (statistics.opened, statistics.reused) == (1, 9)


async def test_a_name_with_two_families_is_reached_by_whichever_answers() -> None:
    listener, port = await listen()
    async with serving(answering(OK), listener), TrioTransport() as transport:
        assert await fetch(transport, post(url=f"http://localhost:{port}/")) == (200, b"ok")


async def test_a_connection_closed_while_idle_is_noticed_before_its_reuse() -> None:
    async def once(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(OK)

    listener, port = await listen()
    async with serving(once, listener), TrioTransport() as transport:
        for _ in range(3):
            assert await fetch(transport, post(url=f"http://127.0.0.1:{port}/")) == (200, b"ok")
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert (transport.statistics().opened, transport.statistics().reused) == (3, 0)


async def test_unasked_bytes_on_an_idle_connection_are_no_answer_to_the_next_request() -> None:
    async def chatty(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(OK)
        await trio.testing.wait_all_tasks_blocked(0.01)
        await stream.send_all(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await trio.sleep(math.inf)

    listener, port = await listen()
    async with serving(chatty, listener), TrioTransport() as transport:
        for _ in range(2):
            assert await fetch(transport, post(url=f"http://127.0.0.1:{port}/")) == (200, b"ok")
            await trio.testing.wait_all_tasks_blocked(0.05)


@pytest.mark.parametrize("reset", [False, True])
async def test_a_reused_connection_that_dies_under_the_request_is_stale(reset: bool) -> None:
    async def once(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(OK)
        await stream.receive_some(10)
        if reset and isinstance(stream, trio.SocketStream):
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    listener, port = await listen()
    async with serving(once, listener), TrioTransport() as transport:
        url = f"http://127.0.0.1:{port}/"
        await fetch(transport, post(url=url))
        with pytest.raises(StaleConnection):
            await fetch(transport, post(url=url))
        assert opened(transport) == 0
        assert await fetch(transport, post(url=url)) == (200, b"ok")


async def test_a_silent_server_is_a_read_timeout_on_time() -> None:
    listener, port = await listen()
    async with serving(hang, listener), TrioTransport() as transport:
        before = trio.current_time()
        with pytest.raises(httpx.ReadTimeout):
            await fetch(transport, post(url=f"http://127.0.0.1:{port}/", timeout={"read": 0.05}))
        assert 0.05 <= trio.current_time() - before < 2
        assert opened(transport) == 0


async def test_a_short_timeout_after_a_long_one_is_kept_too() -> None:
    async def first_only(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(OK)
        await hang(stream)

    listener, port = await listen()
    async with serving(first_only, listener), TrioTransport() as transport:
        url = f"http://127.0.0.1:{port}/"
        await fetch(transport, post(url=url, timeout={"read": 1000}))
        before = trio.current_time()
        with trio.fail_after(5), pytest.raises(httpx.ReadTimeout):
            await fetch(transport, post(url=url, timeout={"read": 0.05}))
        assert 0.05 <= trio.current_time() - before < 2


async def test_a_peer_that_stops_reading_is_a_write_timeout() -> None:
    listener, port = await listen()

    async def deaf(stream: trio.abc.Stream) -> None:
        await trio.sleep(math.inf)

    async with serving(deaf, listener), TrioTransport() as transport:
        with pytest.raises(httpx.WriteTimeout):
            await fetch(
                transport, post(bytes(50_000_000), url=f"http://127.0.0.1:{port}/", timeout={"write": 0.1})
            )
        assert opened(transport) == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_nobody_listening_is_a_refusal_and_no_tls_failure(host: str) -> None:
    listener, port = await listen()
    await listener.aclose()
    async with TrioTransport() as transport:
        with pytest.raises(ConnectionRefused):
            await fetch(transport, post(url=f"https://{host}:{port}/"))


class NoSuchName(trio.abc.HostnameResolver):
    async def getaddrinfo(self, *_: object, **__: object) -> list[object]:  # type: ignore[override]  # always raises
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, sockaddr: object, flags: int) -> tuple[str, str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def test_a_name_without_address_is_told_apart() -> None:
    trio.socket.set_custom_hostname_resolver(NoSuchName())
    async with TrioTransport() as transport:
        with pytest.raises(NameNotResolved):
            await fetch(transport, post(url="http://vendor.invalid/"))


async def test_the_answer_is_read_although_the_server_refused_the_rest_of_the_request() -> None:
    async def refuse(stream: trio.abc.Stream) -> None:
        await stream.receive_some(100)
        await stream.send_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        await trio.sleep(math.inf)

    listener, port = await listen()
    async with serving(refuse, listener), TrioTransport() as transport:
        request = post(bytes(50_000_000), url=f"http://127.0.0.1:{port}/", timeout={"write": 5, "read": 5})
        assert await fetch(transport, request) == (413, b"big")
        assert opened(transport) == 0


# TLS


async def test_tls_is_spoken_and_its_sessions_are_resumed() -> None:
    resumed: list[bool] = []

    async def script(stream: trio.abc.Stream) -> None:
        if isinstance(stream, trio.SSLStream):
            resumed.append(stream.session_reused)
        await answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")(stream)

    listener, port = await listen()
    context = server_context("localhost")
    async with (
        serving(over_tls(script, context), listener),
        TrioTransport(ssl_context=client_context()) as transport,
    ):
        for _ in range(3):
            request = post(url=f"https://localhost:{port}/", timeout={"read": 5, "connect": 5, "write": 5})
            assert await fetch(transport, request) == (200, b"ok")
        assert (transport.statistics().opened, transport.statistics().reused) == (1, 2)
        held = [
            await transport.handle_async_request(
                post(url=f"https://localhost:{port}/", method="HEAD", body=b"")
            )
            for _ in range(2)
        ]
        assert [one.status_code for one in held] == [200, 200]
    assert resumed == [False, True]


@pytest.mark.parametrize(
    ("name", "authority", "reason"),
    [("elsewhere.test", AUTHORITY, "mismatch"), ("localhost", trustme.CA(), "verify failed")],
    ids=["wrong name", "untrusted authority"],
)
async def test_a_certificate_that_does_not_fit_is_a_tls_failure(
    name: str, authority: trustme.CA, reason: str
) -> None:
    listener, port = await listen()
    context = server_context(name, authority)
    async with (
        serving(over_tls(answering(OK), context), listener),
        TrioTransport(ssl_context=client_context()) as transport,
    ):
        with pytest.raises(TLSFailed, match=reason):
            await fetch(transport, post(url=f"https://localhost:{port}/"))
        assert transport.statistics().dialling == 0


async def test_the_default_context_does_not_trust_just_anybody() -> None:
    listener, port = await listen()
    async with (
        serving(over_tls(answering(OK), server_context("localhost")), listener),
        TrioTransport() as transport,
    ):
        with pytest.raises(TLSFailed):
            await fetch(transport, post(url=f"https://localhost:{port}/"))


async def test_a_peer_that_speaks_no_tls_is_a_tls_failure() -> None:
    async def plain(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    listener, port = await listen()
    async with serving(plain, listener), TrioTransport(ssl_context=client_context()) as transport:
        with pytest.raises(TLSFailed):
            await fetch(transport, post(url=f"https://localhost:{port}/"))


async def test_a_connection_lost_in_the_handshake_says_nothing_about_trust() -> None:
    async def leave(stream: trio.abc.Stream) -> None:
        await stream.receive_some()

    listener, port = await listen()
    async with serving(leave, listener), TrioTransport(ssl_context=client_context()) as transport:
        with pytest.raises(httpx.ConnectError) as caught:
            await fetch(transport, post(url=f"https://localhost:{port}/"))
        assert not isinstance(caught.value, TLSFailed)


async def test_a_handshake_that_never_ends_is_a_connect_timeout() -> None:
    listener, port = await listen()
    async with serving(hang, listener), TrioTransport(ssl_context=client_context()) as transport:
        with pytest.raises(httpx.ConnectTimeout):
            await fetch(transport, post(url=f"https://localhost:{port}/", timeout={"connect": 0.05}))
        assert transport.statistics().dialling == 0


async def test_a_silent_server_is_a_read_timeout_over_tls_too() -> None:
    listener, port = await listen()
    async with (
        serving(over_tls(hang, server_context("localhost")), listener),
        TrioTransport(ssl_context=client_context()) as transport,
    ):
        with pytest.raises(httpx.ReadTimeout):
            await fetch(transport, post(url=f"https://localhost:{port}/", timeout={"read": 0.05}))
        assert opened(transport) == 0


async def test_a_refusal_over_tls_is_read_while_the_writing_is_stuck() -> None:
    async def refuse(stream: trio.abc.Stream) -> None:
        await stream.receive_some(100)
        await stream.send_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\n\r\nno")
        await trio.testing.wait_all_tasks_blocked(0.01)
        await stream.send_all(b" key")
        await trio.sleep(math.inf)

    listener, port = await listen()
    async with (
        serving(over_tls(refuse, server_context("localhost")), listener),
        TrioTransport(ssl_context=client_context()) as transport,
    ):
        request = post(bytes(50_000_000), url=f"https://localhost:{port}/", timeout={"write": 5, "read": 5})
        assert await fetch(transport, request) == (401, b"no key")


async def test_a_truncated_answer_over_tls_is_an_error() -> None:
    async def cut(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(OK[:-1])

    listener, port = await listen()
    async with (
        serving(over_tls(cut, server_context("localhost")), listener),
        TrioTransport(ssl_context=client_context()) as transport,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            await fetch(transport, post(url=f"https://localhost:{port}/"))


# Unix sockets


async def test_a_unix_socket_is_dialled_whatever_the_host(tmp_path: Path) -> None:
    path = str(tmp_path / "vendor.sock")
    sock = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    await sock.bind(path)
    sock.listen()
    async with (
        serving(answering(OK), trio.SocketListener(sock)),
        TrioTransport(dial=dial_unix(path)) as transport,
    ):
        assert await fetch(transport, post(timeout={"read": 5})) == (200, b"ok")
        assert await fetch(transport) == (200, b"ok")
        assert transport.statistics().opened == 1


async def test_a_cancelled_stream_closes_its_socket_at_once() -> None:
    closed = trio.Event()

    async def stream_on(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        assert await stream.receive_some() == b""
        closed.set()

    listener, port = await listen()
    async with serving(stream_on, listener), TrioTransport() as transport:
        response = await transport.handle_async_request(
            post(url=f"http://127.0.0.1:{port}/", timeout={"read": 60})
        )
        with trio.CancelScope() as scope:
            async for _ in response.aiter_raw():
                scope.cancel()
        with trio.fail_after(2):
            await closed.wait()
        assert (opened(transport), busy(transport)) == (0, 0)


async def test_a_large_body_from_a_generator_is_sent_through_a_slow_reader() -> None:
    received = 0

    async def slow(stream: trio.abc.Stream) -> None:
        nonlocal received
        tail = b""
        while not tail.endswith(b"0\r\n\r\n"):
            data = bytes(await stream.receive_some(30_000))
            received += len(data)
            tail = (tail + data)[-5:]
            await trio.lowlevel.checkpoint()
        await stream.send_all(OK)

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield bytes(100_000)

    class Body(httpx.AsyncByteStream):
        def __aiter__(self) -> AsyncIterator[bytes]:
            return parts()

    listener, port = await listen()
    async with serving(slow, listener), TrioTransport() as transport:
        request = post(url=f"http://127.0.0.1:{port}/", stream=Body(), timeout={"write": 5, "read": 5})
        assert await fetch(transport, request) == (200, b"ok")
    assert received > 5_000_000

"""Proxies on the way to a vendor: tunnels, whole URLs, SOCKS, TLS within TLS, and what the environment says."""

import base64

import httpx
import pytest
import trio
from llm_dispatcher.runtime.wire.client import TrioTransport
from llm_dispatcher.runtime.wire.proxies import proxy_of_environment

from tests.wire.client_peers import OK, Script, answering, fetch, hang, listen, post, read_request, serving
from tests.wire.test_client_sockets import client_context, over_tls, server_context


async def pump(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
    try:
        while data := await source.receive_some():
            await sink.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


class TunnelProxy:
    """An HTTP proxy for CONNECT that wants a password."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.heads: list[bytes] = []
        self._answer = answer

    async def __call__(self, stream: trio.abc.Stream) -> None:
        head = await read_request(stream)
        self.heads.append(head)
        await stream.send_all(self._answer)
        if b" 200 " not in self._answer:
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        upstream = await trio.open_tcp_stream(host, int(port))
        async with upstream, trio.open_nursery() as nursery:
            nursery.start_soon(pump, upstream, stream)
            await pump(stream, upstream)
            nursery.cancel_scope.cancel()


async def test_https_goes_through_a_tunnel_of_the_proxy() -> None:
    origin, port = await listen()
    listener, proxy_port = await listen()
    proxy = TunnelProxy()
    secured = over_tls(answering(OK), server_context("localhost"))
    async with serving(secured, origin), serving(proxy, listener):
        url = f"http://user:p%40ss@127.0.0.1:{proxy_port}"
        async with TrioTransport(ssl_context=client_context(), proxy=url) as transport:
            for _ in range(2):
                assert await fetch(transport, post(url=f"https://localhost:{port}/")) == (200, b"ok")
    (head,) = proxy.heads
    assert head.startswith(b"CONNECT localhost:%d HTTP/1.1\r\nHost: localhost:%d\r\n" % (port, port))
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"user:p@ss") in head


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "407"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "into the tunnel"),
        (b"HTTP/1.1 20", "middle"),
        (b"nonsense", "not an HTTP response"),
    ],
)
async def test_a_proxy_that_fails_is_a_proxy_error(answer: bytes, reason: str) -> None:
    async def proxy(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(answer)

    listener, port = await listen()
    async with serving(proxy, listener), TrioTransport(proxy=f"http://127.0.0.1:{port}") as transport:
        with pytest.raises(httpx.ProxyError, match=reason):
            await fetch(transport, post(url="https://vendor.test/"))
        assert transport.statistics().dialling == 0


async def test_plain_http_tells_the_proxy_the_whole_url() -> None:
    heads: list[bytes] = []

    async def proxy(stream: trio.abc.Stream) -> None:
        heads.append(await read_request(stream))
        await stream.send_all(OK)

    listener, port = await listen()
    async with serving(proxy, listener), TrioTransport(proxy=f"http://u:p@127.0.0.1:{port}") as transport:
        assert await fetch(transport, post(url="http://vendor.test:81/a?b")) == (200, b"ok")
    assert heads[0].startswith(b"POST http://vendor.test:81/a?b HTTP/1.1\r\nHost: vendor.test:81\r\n")
    assert b"Proxy-Authorization: Basic " in heads[0]


@pytest.mark.parametrize(
    "proxy",
    ["socks4://secret:pw@proxy:1", "http://", "proxy:1", "http://secret:pw@p/path", "ftp://p"],
)
def test_what_is_no_proxy_is_refused_with_advice_and_without_the_password(proxy: str) -> None:
    with pytest.raises(ValueError, match="not a proxy's address") as caught:
        TrioTransport(proxy=proxy)
    assert "pw" not in str(caught.value)


async def test_a_proxy_may_itself_be_spoken_to_over_tls() -> None:
    """TLS to the proxy, a tunnel through it, and in the tunnel TLS to the vendor."""
    origin, port = await listen()
    listener, proxy_port = await listen()
    tunnel = TunnelProxy()
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)
    vendor = over_tls(answering(large), server_context("localhost"))
    async with (
        serving(vendor, origin),
        serving(over_tls(tunnel, server_context("localhost")), listener),
        TrioTransport(ssl_context=client_context(), proxy=f"https://u:p@localhost:{proxy_port}") as transport,
    ):
        url = f"https://localhost:{port}/"
        for _ in range(2):
            request = post(b"x" * 200_000, url=url, timeout={"read": 5, "connect": 5})
            status, body = await fetch(transport, request)
            assert (status, len(body)) == (200, 300_000)
        assert (transport.statistics().opened, transport.statistics().reused) == (1, 1)
    assert len(tunnel.heads) == 1


class Socks:
    """A SOCKS 5 proxy. `user`: what it wants to be told, if anything. `reply`: what it says to every wish."""

    def __init__(self, user: tuple[bytes, bytes] | None = None, reply: int = 0) -> None:
        self.wishes: list[tuple[bytes, int]] = []
        self._user = user
        self._reply = reply

    async def __call__(self, stream: trio.abc.Stream) -> None:
        _, count = await exactly(stream, 2)
        offered = await exactly(stream, count)
        method = 0 if self._user is None else 2
        await stream.send_all(bytes([5, method if method in offered else 255]))
        if method not in offered:
            return
        if self._user is not None:
            assert await exactly(stream, 1) == b"\x01"
            given = [await exactly(stream, (await exactly(stream, 1))[0]) for _ in range(2)]
            await stream.send_all(bytes([1, tuple(given) != self._user]))
            if tuple(given) != self._user:
                return
        _, _, _, kind = await exactly(stream, 4)
        address = await exactly(stream, {1: 4, 4: 16}.get(kind) or (await exactly(stream, 1))[0])
        port = int.from_bytes(await exactly(stream, 2), "big")
        self.wishes.append((address, port))
        # Where it has bound itself, as a name: the one kind of address whose length is not known beforehand.
        await stream.send_all(bytes([5, self._reply, 0, 3, 5]) + b"boundXX")
        if self._reply:
            return
        upstream = await trio.open_tcp_stream("127.0.0.1", port)
        async with upstream, trio.open_nursery() as nursery:
            nursery.start_soon(pump, upstream, stream)
            await pump(stream, upstream)
            nursery.cancel_scope.cancel()


async def exactly(stream: trio.abc.Stream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = await stream.receive_some(count - len(data))
        if not more:
            raise trio.BrokenResourceError("gone")
        data += bytes(more)
    return data


@pytest.mark.parametrize(
    ("scheme", "asked_for"),
    [("socks5h", b"localhost"), ("socks5", b"\x7f\x00\x00\x01")],
    ids=["there", "here"],
)
@pytest.mark.parametrize("user", [None, (b"us:er", b"p@ss")], ids=["anybody", "with a password"])
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_everything_goes_through_a_socks_proxy(
    scheme: str, asked_for: bytes, user: tuple[bytes, bytes] | None, tls: bool
) -> None:
    origin, port = await listen()
    listener, proxy_port = await listen()
    proxy = Socks(user)
    vendor = over_tls(answering(OK), server_context("localhost")) if tls else answering(OK)
    known = "us%3Aer:p%40ss@" if user else ""
    async with (
        serving(vendor, origin),
        serving(proxy, listener),
        TrioTransport(
            ssl_context=client_context(), proxy=f"{scheme}://{known}127.0.0.1:{proxy_port}"
        ) as transport,
    ):
        for _ in range(2):
            url = f"http{'s' if tls else ''}://localhost:{port}/path"
            assert await fetch(transport, post(url=url)) == (200, b"ok")
    assert [place for _, place in proxy.wishes] == [port]
    assert proxy.wishes[0][0] in (asked_for, bytes(15) + b"\x01")


async def leave(stream: trio.abc.Stream) -> None:
    await stream.receive_some()


@pytest.mark.parametrize(
    ("proxy", "known", "reason"),
    [
        (Socks((b"u", b"p")), "", "wants a user and password"),
        (Socks((b"u", b"p")), "u:other@", "wants another user or password"),
        (Socks(reply=2), "", "refused: its rules do not allow it"),
        (Socks(reply=99), "", "refused: reply 99"),
        (leave, "", "failed: it closed the connection"),
    ],
)
async def test_a_socks_proxy_that_refuses_or_fails_is_a_proxy_error(
    proxy: Script, known: str, reason: str
) -> None:
    listener, port = await listen()
    async with (
        serving(proxy, listener),
        TrioTransport(proxy=f"socks5h://{known}127.0.0.1:{port}") as transport,
    ):
        with pytest.raises(httpx.ProxyError, match=reason):
            await fetch(transport, post(url="https://vendor.test/", timeout={"connect": 5}))
        assert transport.statistics().dialling == 0


async def test_a_proxy_that_says_nothing_is_a_connect_timeout() -> None:
    listener, port = await listen()
    async with serving(hang, listener), TrioTransport(proxy=f"socks5h://127.0.0.1:{port}") as transport:
        with pytest.raises(httpx.ConnectTimeout):
            await fetch(transport, post(url="https://vendor.test/", timeout={"connect": 0.05}))
        assert transport.statistics().dialling == 0


async def test_a_proxy_that_speaks_no_socks_is_said() -> None:
    async def http(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    listener, port = await listen()
    async with serving(http, listener), TrioTransport(proxy=f"socks5h://127.0.0.1:{port}") as transport:
        with pytest.raises(httpx.ProxyError, match="speaks no SOCKS 5"):
            await fetch(transport, post(url="http://vendor.test/"))


# The environment

P = "http://p:1"


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://v.test/v1", {}, None),
        ("https://v.test/v1", {"HTTPS_PROXY": P}, P),
        ("https://v.test/v1", {"https_proxy": P, "HTTPS_PROXY": "http://other:1"}, P),
        ("https://v.test/v1", {"HTTP_PROXY": P}, None),
        ("http://v.test/v1", {"HTTP_PROXY": P}, P),
        ("https://v.test/v1", {"ALL_PROXY": "socks5h://p:1"}, "socks5h://p:1"),
        ("https://v.test/v1", {"ALL_PROXY": "socks5h://p:1", "HTTPS_PROXY": P}, P),
        ("https://v.test/v1", {"HTTPS_PROXY": "p:1"}, P),
        ("https://v.test/v1", {"HTTPS_PROXY": " "}, None),
        ("http://127.0.0.1:11434/v1", {"HTTP_PROXY": P}, None),
        ("http://[::1]:11434/v1", {"HTTP_PROXY": P}, None),
        ("http://localhost:11434/v1", {"HTTP_PROXY": P}, None),
        ("http://a.localhost/v1", {"HTTP_PROXY": P}, None),
        ("http://localhost.test/v1", {"HTTP_PROXY": P}, P),
    ],
)
def test_the_environment_names_a_proxy_by_the_scheme(
    url: str, environ: dict[str, str], proxy: str | None
) -> None:
    assert proxy_of_environment(httpx.URL(url), environ) == proxy


@pytest.mark.parametrize(
    ("host", "listed", "direct"),
    [
        ("v.test", "*", True),
        ("v.test", "v.test", True),
        ("V.test", "v.TEST", True),
        ("a.v.test", "v.test", True),
        ("a.v.test", ".v.test", True),
        ("v.test", ".v.test", True),
        ("a.v.test", "*.v.test", True),
        ("av.test", "v.test", False),
        ("v.test.evil", "v.test", False),
        ("v.test", "a.v.test", False),
        ("v.test", "w.test, v.test ,x.test", True),
        ("v.test", "v.test:443", True),
        ("v.test", "v.test:8443", False),
        ("v.test:8443", "v.test:8443", True),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.3:443", True),
        ("[fd00::7]", "fd00::/8", True),
        ("[fd00::7]", "fd00::7", True),
        ("[fd00::7]", "[fd00::7]:443", True),
        ("[fd00::7]", "[fd00::7]:80", False),
        ("v.test", "10.0.0.0/8", False),
        ("v.test", "", False),
        ("v.test", ",", False),
    ],
)
def test_no_proxy_says_what_is_reached_directly(host: str, listed: str, direct: bool) -> None:
    found = proxy_of_environment(httpx.URL(f"https://{host}/"), {"HTTPS_PROXY": P, "NO_PROXY": listed})
    assert found == (None if direct else P)

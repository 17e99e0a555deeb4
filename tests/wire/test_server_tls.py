"""TLS at the server: the certificate's files, the handshake, answers in the clear for nobody, and its proper end."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trustme
from llm_dispatcher.runtime.wire.client import TrioTransport
from llm_dispatcher.runtime.wire.server import Server, ServerLimits
from llm_dispatcher.runtime.wire.server_tls import Certificate, CertificateError
from trio.testing import MockClock

from tests.wire.test_server import echo

AUTHORITY = trustme.CA()
OURS, THEIRS = AUTHORITY.issue_cert("localhost", "127.0.0.1"), AUTHORITY.issue_cert("localhost")
GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"


def files(
    folder: Path, certificate: trustme.LeafCert = OURS, key: trustme.LeafCert = OURS
) -> tuple[str, str]:
    """A certificate and a key on disk."""
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    private.write_bytes(key.private_key_pem.bytes())
    return str(chain), str(private)


def trusting(client: trustme.LeafCert | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    if client is not None:
        client.configure_cert(context)
    return context


@asynccontextmanager
async def serving(
    certificate: Certificate, app: Any = echo, limits: ServerLimits | None = None
) -> AsyncIterator[tuple[int, Server]]:
    """The port of a server behind `certificate`."""
    server = Server(app, limits, tls=lambda: certificate.context)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, listeners)
        yield listeners[0].socket.getsockname()[1], server
        nursery.cancel_scope.cancel()


async def speaking(port: int, context: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
    """A client's connection, by trio's own TLS."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    secured = trio.SSLStream(stream, context, server_hostname="localhost")
    await secured.do_handshake()
    return secured


async def test_answers_of_every_size_go_through_it_both_ways(tmp_path: Path) -> None:
    context = trusting()
    async with serving(Certificate(*files(tmp_path))) as (port, server):
        for transport in (TrioTransport(ssl_context=context), httpx.AsyncHTTPTransport(verify=context)):
            async with httpx.AsyncClient(transport=transport) as client:
                for size in (0, 1, 16_384, 16_385, 700_000):
                    answer = await client.post(f"https://localhost:{port}/p", content=b"z" * size)
                    assert answer.text == "POST /p " + "z" * size
        assert server.statistics().requests == 10
    assert server.statistics().connections == 0


async def test_the_application_learns_that_it_is_https(tmp_path: Path) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["scheme"])
        await echo(scope, receive, send)

    transport = TrioTransport(ssl_context=trusting())
    async with (
        serving(Certificate(*files(tmp_path)), app) as (port, _),
        httpx.AsyncClient(transport=transport) as client,
    ):
        await client.get(f"https://localhost:{port}/")
    assert seen == ["https"]


async def test_a_new_certificate_is_used_for_new_connections_and_one_that_does_not_fit_for_none(
    tmp_path: Path,
) -> None:
    certificate = Certificate(*files(tmp_path))
    async with serving(certificate) as (port, _):
        before = await speaking(port, trusting())
        files(tmp_path, THEIRS, OURS)
        assert not certificate.refresh(), "the key is still the old one's"
        between = await speaking(port, trusting())
        files(tmp_path, THEIRS, THEIRS)
        assert certificate.refresh()
        assert not certificate.refresh(), "nothing has changed since"
        after = await speaking(port, trusting())
        numbers = [stream.getpeercert()["serialNumber"] for stream in (before, between, after)]
        assert numbers[0] == numbers[1] != numbers[2]
        for stream in (before, after):
            await stream.send_all(GET)
            assert bytes(await stream.receive_some()).startswith(b"HTTP/1.1 200 OK")
            await trio.aclose_forcefully(stream)
        await trio.aclose_forcefully(between)


async def test_the_files_are_looked_at_every_ten_seconds(tmp_path: Path, autojump_clock: MockClock) -> None:
    certificate = Certificate(*files(tmp_path))
    first = certificate.context
    async with trio.open_nursery() as nursery:
        nursery.start_soon(certificate.watch)
        await trio.sleep(1)
        files(tmp_path, THEIRS, THEIRS)
        await trio.sleep(10)
        assert certificate.context is not first
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("chain", "key", "words"),
    [
        (None, OURS, "cannot read .*chain.pem: No such file"),
        (OURS, None, "cannot read .*key.pem: No such file"),
        (OURS, THEIRS, "does not belong to the certificate"),
        (b"", OURS, "no PEM certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", OURS, "certificate or key: "),
        (OURS, b"nonsense", "no private key in"),
        (
            OURS,
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "certificate or key|passphrase",
        ),
    ],
    ids=["no file", "no key", "another's key", "empty", "broken", "nonsense", "encrypted and broken"],
)
def test_files_that_are_of_no_use_are_refused_in_words(
    tmp_path: Path, chain: trustme.LeafCert | bytes | None, key: trustme.LeafCert | bytes | None, words: str
) -> None:
    paths = files(
        tmp_path,
        chain if isinstance(chain, trustme.LeafCert) else OURS,
        key if isinstance(key, trustme.LeafCert) else OURS,
    )
    for path, wanted in zip(paths, (chain, key), strict=True):
        if wanted is None:
            Path(path).unlink()
        elif isinstance(wanted, bytes):
            Path(path).write_bytes(wanted)
    with pytest.raises(CertificateError, match=words):
        Certificate(*paths)


async def test_only_clients_with_a_certificate_of_the_authority_are_let_in(tmp_path: Path) -> None:
    authority = tmp_path / "clients.pem"
    AUTHORITY.cert_pem.write_to_path(str(authority))
    certificate = Certificate(*files(tmp_path), str(authority))
    known, unknown = trusting(AUTHORITY.issue_cert("friend")), trusting()
    stranger = trusting(trustme.CA().issue_cert("stranger"))
    async with serving(certificate) as (port, server):
        async with httpx.AsyncClient(transport=TrioTransport(ssl_context=known)) as client:
            assert (await client.get(f"https://localhost:{port}/")).status_code == 200
        for context in (unknown, stranger):
            async with httpx.AsyncClient(transport=TrioTransport(ssl_context=context)) as client:
                with pytest.raises(httpx.TransportError):
                    await client.get(f"https://localhost:{port}/")
        assert server.statistics().requests == 1


async def test_who_speaks_plain_http_is_told_so(tmp_path: Path) -> None:
    async with serving(Certificate(*files(tmp_path))) as (port, server):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(GET)
            head, _, body = b"".join([bytes(piece) async for piece in stream]).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert f"content-length: {len(body)}".encode() in head
        assert b"speaks https" in body
        assert server.statistics().requests == 0


async def test_a_handshake_that_never_ends_is_cut_like_a_slow_head(tmp_path: Path) -> None:
    limits = ServerLimits(head_timeout=0.05)
    async with (
        serving(Certificate(*files(tmp_path)), limits=limits) as (port, _),
        await trio.open_tcp_stream("127.0.0.1", port) as stream,
    ):
        await stream.send_all(b"\x16\x03\x01")
        with trio.fail_after(2):
            assert await stream.receive_some() == b""


async def test_the_end_of_a_whole_answer_is_tlss_own_and_that_of_a_cut_one_is_not(tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        if scope["path"] == "/broken":
            raise RuntimeError("broken")
        await send({"type": "http.response.body", "body": b"rest"})

    async with serving(Certificate(*files(tmp_path)), app) as (port, _):
        whole = await speaking(port, trusting())
        await whole.send_all(b"GET / HTTP/1.0\r\n\r\n")
        assert b"".join([bytes(piece) async for piece in whole]).endswith(b"partrest")
        cut = await speaking(port, trusting())
        await cut.send_all(b"GET /broken HTTP/1.0\r\n\r\n")
        with pytest.raises(trio.BrokenResourceError):
            async for _ in cut:
                pass
        await trio.aclose_forcefully(cut)
        await whole.aclose()


async def test_a_client_that_reads_slowly_gets_everything(tmp_path: Path) -> None:
    body = bytes(range(256)) * 20_000

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for start in range(0, len(body), 100_000):
            await send(
                {"type": "http.response.body", "body": body[start : start + 100_000], "more_body": True}
            )
        await send({"type": "http.response.body", "body": b""})

    async with serving(Certificate(*files(tmp_path)), app) as (port, _):
        stream = await speaking(port, trusting())
        await stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
        found = bytearray()
        async for piece in stream:
            found += piece
            await trio.lowlevel.checkpoint()
        await stream.aclose()
    assert found.partition(b"\r\n\r\n")[2] == body

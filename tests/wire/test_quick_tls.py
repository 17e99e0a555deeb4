"""TLS without waiting: partial sends, tickets that make nobody busy, the ends of a connection, TLS within TLS."""

from __future__ import annotations

import random
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from llm_dispatcher.runtime.wire.quick_socket import QuickStream
from llm_dispatcher.runtime.wire.quick_tls import Quick, QuickTLS

from tests.wire.test_client_sockets import client_context, server_context

CLIENT, SERVER = client_context(), server_context("localhost")


async def shake_hands(client: Quick, server: Quick) -> tuple[QuickTLS, QuickTLS]:
    ours = QuickTLS(client, CLIENT, server_hostname="localhost")
    theirs = QuickTLS(server, SERVER, server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.do_handshake)
        nursery.start_soon(theirs.do_handshake)
    return ours, theirs


@asynccontextmanager
async def pair(layers: int = 1) -> AsyncIterator[tuple[QuickTLS, QuickTLS]]:
    """Both ends of a connection with so many layers of TLS."""
    one, other = socket.socketpair()
    streams: tuple[Quick, Quick] = (QuickStream(one), QuickStream(other))
    for _ in range(layers):
        streams = await shake_hands(*streams)
    ours, theirs = streams
    assert isinstance(ours, QuickTLS)
    assert isinstance(theirs, QuickTLS)
    try:
        yield ours, theirs
    finally:
        ours.close()
        theirs.close()


@pytest.mark.parametrize("layers", [1, 2])
async def test_what_the_kernel_does_not_take_at_once_arrives_once_and_in_order(layers: int) -> None:
    rng = random.Random(layers)
    data = rng.randbytes(2_000_000)
    received = bytearray()
    async with pair(layers) as (ours, theirs):
        stuck = 0

        async def read() -> None:
            while len(received) < len(data):
                received.extend(await theirs.receive_some(rng.choice([1, 100, 20_000, 65_536])))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            sent = 0
            while sent < len(data):
                end = sent + rng.choice([1, 1000, 16_384, 300_000])
                moved = ours.send_nowait(data[sent:end])
                stuck += ours.amid
                sent += moved
                if ours.amid:
                    await ours.wait_send_all_might_not_block()
                assert sent <= len(data)
        assert stuck > 0
        assert not ours.amid
    assert bytes(received) == data


async def test_tickets_do_not_make_an_idle_connection_busy_and_data_does() -> None:
    async with pair() as (ours, theirs):
        assert not ours.transport_stream.is_quiet(), "TLS 1.3 sends tickets after the handshake"
        assert ours.is_quiet()
        assert ours.transport_stream.is_quiet(), "they have been taken in"
        session = ours.session
        assert session is not None
        assert session.has_ticket
        theirs.send_nowait(b"x")
        assert not ours.is_quiet()


async def test_unread_data_behind_what_was_read_is_noticed() -> None:
    async with pair() as (ours, theirs):
        theirs.send_nowait(b"head and body")
        assert await ours.receive_some(4) == b"head"
        assert not ours.is_quiet()


@pytest.mark.parametrize("polite", [True, False])
async def test_the_end_is_an_end_with_or_without_a_goodbye(polite: bool) -> None:
    async with pair() as (ours, theirs):
        theirs.send_nowait(b"last")
        if polite:
            theirs.goodbye()
        theirs.close()
        assert await ours.receive_some() == b"last"
        assert not ours.is_quiet()
        assert await ours.receive_some() == b""


async def test_junk_in_place_of_a_record_breaks_the_stream() -> None:
    async with pair() as (ours, theirs):
        transport = theirs.transport_stream
        assert isinstance(transport, QuickStream)
        transport.send_nowait(b"HTTP/1.1 200 OK\r\n\r\n" * 10)
        with pytest.raises(trio.BrokenResourceError, match="TLS failed"):
            await ours.receive_some()
        assert not ours.is_quiet()


async def test_a_send_to_a_peer_that_is_gone_is_an_oserror() -> None:
    async with pair() as (ours, theirs):
        theirs.close()
        with suppress(BrokenPipeError, ConnectionResetError):
            ours.send_nowait(b"the first may still be taken")
        with pytest.raises(OSError, match=r"(?i)broken|reset|closed"):
            ours.send_nowait(b"x")
        with pytest.raises(trio.BrokenResourceError):
            await ours.send_all(b"x")


async def test_a_peer_that_is_not_trusted_is_told_why() -> None:
    one, other = socket.socketpair()
    ours = QuickTLS(QuickStream(one), ssl.create_default_context(), server_hostname="localhost")
    theirs = QuickTLS(QuickStream(other), SERVER, server_side=True)
    errors: list[BaseException | None] = []

    async def shake(stream: QuickTLS) -> None:
        try:
            await stream.do_handshake()
            await stream.receive_some()
        except trio.BrokenResourceError as error:
            errors.append(error.__cause__)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shake, ours)
        nursery.start_soon(shake, theirs)
    assert {getattr(error, "reason", None) for error in errors} >= {"CERTIFICATE_VERIFY_FAILED"}
    assert any("UNKNOWN_CA" in str(error).upper().replace(" ", "_") for error in errors)
    ours.close()
    theirs.close()

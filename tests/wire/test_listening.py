"""Where the server listens: unix sockets and what they leave behind, shared ports, addresses as people write them."""

from __future__ import annotations

import errno
import socket
import stat
from pathlib import Path

import httpx
import pytest
import trio
from llm_dispatcher.runtime.wire.client import TrioTransport, dial_unix
from llm_dispatcher.runtime.wire.listening import Address, listening, open_listeners, shown, unix_path
from llm_dispatcher.runtime.wire.server import Server

from tests.wire.test_server import echo


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
async def test_a_unix_socket_serves_whom_its_permissions_let_in_and_is_removed_at_the_end(
    tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "s"
    async with listening(Address(unix=str(path), unix_mode=mode)) as listeners:
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert shown(listeners[0], "http") == f"unix:{path}"
        async with trio.open_nursery() as nursery:
            await nursery.start(Server(echo).serve, listeners)
            async with httpx.AsyncClient(transport=TrioTransport(dial=dial_unix(str(path)))) as client:
                assert (await client.post("http://anything/here", content=b"x")).text == "POST /here x"
            nursery.cancel_scope.cancel()
    assert not path.exists()


async def test_the_application_learns_by_which_unix_socket_a_request_came(tmp_path: Path) -> None:
    places: list[object] = []

    async def app(scope: object, receive: object, send: object) -> None:
        assert isinstance(scope, dict)
        places.extend([scope["client"], scope["server"]])
        await echo(scope, receive, send)

    path = str(tmp_path / "s")
    async with listening(Address(unix=path)) as listeners, trio.open_nursery() as nursery:
        await nursery.start(Server(app).serve, listeners)
        async with httpx.AsyncClient(transport=TrioTransport(dial=dial_unix(path))) as client:
            await client.get("http://anything/")
        nursery.cancel_scope.cancel()
    assert places == [None, (path, None)]


async def test_what_a_killed_process_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
        killed.listen()
    async with listening(Address(unix=str(path))), await trio.open_unix_socket(path):
        assert path.is_socket()
    assert not path.exists()


async def test_a_socket_that_somebody_listens_at_is_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    async with listening(Address(unix=path)):
        with pytest.raises(OSError, match="another process listens at") as refused:
            await open_listeners(Address(unix=path))
        assert refused.value.errno == errno.EADDRINUSE
        async with await trio.open_unix_socket(path):
            pass


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(OSError, match="is no socket"):
        await open_listeners(Address(unix=str(path)))
    assert path.read_text() == "precious"


async def test_at_the_end_a_successors_socket_is_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    async with listening(Address(unix=path)) as (mine,):
        mine.socket.close()
        successor = (await open_listeners(Address(unix=path)))[0]
    async with successor, await trio.open_unix_socket(path):
        pass


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="this system has none")
async def test_processes_share_a_port_only_if_both_wish_it() -> None:
    async with listening(Address(reuse_port=True)) as (one,):
        port = one.socket.getsockname()[1]
        async with listening(Address(port=port, reuse_port=True)) as (other,):
            assert other.socket.getsockname()[1] == port
        with pytest.raises(OSError, match="in use"):
            await open_listeners(Address(port=port))


async def test_an_address_is_shown_as_people_write_it() -> None:
    async with listening(Address()) as (listener,):
        port = listener.socket.getsockname()[1]
        assert shown(listener, "https") == f"https://127.0.0.1:{port}"
        assert unix_path(listener) is None


@pytest.mark.skipif(not socket.has_ipv6, reason="this system has no IPv6")
async def test_an_address_of_ipv6_is_shown_in_brackets() -> None:
    try:
        listeners = await open_listeners(Address(host="::1"))
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with listeners[0]:
        assert shown(listeners[0], "http").startswith("http://[::1]:")


async def test_a_host_without_address_is_refused() -> None:
    with pytest.raises(OSError, match=r"(?i)name|address|known"):
        await open_listeners(Address(host="no-such-host.invalid"))

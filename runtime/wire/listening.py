"""Where the server listens: TCP addresses, or a unix socket, ready to accept from.

A unix socket leaves a file behind when its process is killed. So a file that nobody listens at any more is replaced,
and one that somebody does is left alone; at the end the file is removed, if it is still ours.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import trio
from msgspec import Struct

__all__ = ["Address", "listening", "open_listeners", "shown", "unix_path"]

_CONTACT: Final = 1.0
"""Seconds after which somebody is taken to listen at a unix socket that neither refuses nor accepts: its backlog is full."""


class Address(Struct, frozen=True, kw_only=True):
    """Where to listen: at `unix` if that is given, else at `host` and `port` (0: any free one).

    `unix_mode`: permissions of the unix socket's file. `backlog`: connections that the kernel keeps waiting; it lowers
    this to its own limit. `reuse_port`: let other processes listen at the same address and port, if they wish it too
    (SO_REUSEPORT): the kernel spreads connections over them.
    """

    host: str = "127.0.0.1"
    port: int = 0
    unix: str | None = None
    unix_mode: int = 0o660
    backlog: int = 4096
    reuse_port: bool = False


@asynccontextmanager
async def listening(address: Address) -> AsyncIterator[Sequence[trio.SocketListener]]:
    """Listeners at `address`, closed at the end. Raises OSError in words if that cannot be."""
    listeners = await open_listeners(address)
    made = _identity(address.unix) if address.unix is not None else None
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.socket.close()
        if address.unix is not None and made is not None and _identity(address.unix) == made:
            with suppress(OSError):
                os.unlink(address.unix)


async def open_listeners(address: Address) -> list[trio.SocketListener]:
    """Listeners at `address`: one for each address that its host has, or one for its unix socket."""
    if address.unix is not None:
        return [await _open_unix(address.unix, address.unix_mode, address.backlog)]
    return await _open_tcp(address)


def shown(listener: trio.SocketListener, scheme: str, path: str = "") -> str:
    """The address of `listener` as people write it, with the `path` behind it: `http://127.0.0.1:4000`, or
    `unix:/run/dispatcher.sock` (without one)."""
    file = unix_path(listener)
    if file is not None:
        return f"unix:{file}"
    name = listener.socket.getsockname()
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{scheme}://{host}:{name[1]}{path}"


def unix_path(listener: trio.abc.Listener[trio.abc.Stream]) -> str | None:
    """The path of the unix socket that `listener` listens at; None if it is something else."""
    if not isinstance(listener, trio.SocketListener) or sys.platform == "win32":
        return None
    if listener.socket.family != socket.AF_UNIX:
        return None
    return str(listener.socket.getsockname())


# --- TCP ----------------------------------------------------------------------------------------


async def _open_tcp(address: Address) -> list[trio.SocketListener]:
    if address.reuse_port and not hasattr(socket, "SO_REUSEPORT"):
        raise OSError(errno.ENOTSUP, "this system has no SO_REUSEPORT: leave server.reuse_port out")
    found = await trio.socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listeners: list[trio.SocketListener] = []
    unsupported: OSError | None = None
    try:
        for family, kind, protocol, _, where in found:
            try:
                sock = trio.socket.socket(family, kind, protocol)
            except OSError as error:
                # A host without IPv6 still has names with such addresses.
                unsupported = error
                continue
            try:
                await _bind(sock, where, address)
            except BaseException:
                sock.close()
                raise
            listeners.append(trio.SocketListener(sock))
    except BaseException:
        for listener in listeners:
            listener.socket.close()
        raise
    if not listeners:
        raise unsupported or OSError(errno.EADDRNOTAVAIL, f"{address.host!r} has no address")
    return listeners


async def _bind(sock: trio.socket.SocketType, where: Any, address: Address) -> None:
    if sys.platform != "win32":
        # On Windows this would let two processes have the same port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if address.reuse_port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    await sock.bind(where)
    sock.listen(address.backlog)


# --- unix sockets -------------------------------------------------------------------------------


async def _open_unix(path: str, mode: int, backlog: int) -> trio.SocketListener:
    if not hasattr(socket, "AF_UNIX"):
        raise OSError(errno.ENOTSUP, "this system has no unix sockets: listen at a host and port")
    await _make_way(path)
    sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        await sock.bind(path)
        # Before it listens, so that nobody gets in by permissions that were not meant.
        os.chmod(path, mode)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return trio.SocketListener(sock)


async def _make_way(path: str) -> None:
    """Remove what a killed process has left at `path`. Raises OSError if something else is there."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, f"{path} exists, and is no socket")
    if await _somebody_listens(path):
        raise OSError(errno.EADDRINUSE, f"another process listens at {path}")
    os.unlink(path)


async def _somebody_listens(path: str) -> bool:
    with trio.move_on_after(_CONTACT), trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            await probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True


def _identity(path: str) -> tuple[int, int, int] | None:
    """Which file is at `path`: the number of one that was removed is soon given to another, so its time counts too."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns

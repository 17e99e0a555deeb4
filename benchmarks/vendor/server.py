"""The scripted vendor on real sockets: listening, and not listening while the script has everything refused."""

from __future__ import annotations

import math
import ssl
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio

if TYPE_CHECKING:
    from .vendor import ScriptedVendor

__all__ = ["serve"]

_BACKLOG: Final = 1024
_SIMULATED_ONLY: Final = ("unresolved", "untrusted")


async def serve(
    vendor: ScriptedVendor,
    port: int,
    host: str,
    *,
    ssl_context: ssl.SSLContext | None,
    task_status: trio.TaskStatus[int],
) -> None:
    """Serve `vendor` until cancelled; `task_status.started` tells the port, which is a free one for `port=0`.

    While a `refuse` of the script's `connections` holds for everybody, the socket is closed, so that the kernel itself
    refuses; the port is taken again afterwards. Raises `OSError` when it is not to be had, and `ValueError` for a script
    that needs a simulated network.
    """
    for rule in vendor.script.connections:
        if rule.act in _SIMULATED_ONLY:
            raise ValueError(f"a connection can be {rule.act!r} in a simulated network only")
    async with trio.open_nursery() as connections:
        # Taken even if nothing is to be served yet, so that the port is known.
        listeners, port = await _open(port, host, ssl_context)
        task_status.started(port)
        while True:
            if vendor.selector.closed(vendor.elapsed):
                for listener in listeners:
                    await listener.aclose()
                await _while(vendor, closed=True)
                listeners, port = await _open(port, host, ssl_context)
                continue
            async with trio.open_nursery() as accepting:
                serving = partial(
                    trio.serve_listeners, vendor.serve_stream, listeners, handler_nursery=connections
                )
                accepting.start_soon(serving)
                await _while(vendor, closed=False)
                accepting.cancel_scope.cancel()


async def _open(
    port: int, host: str, ssl_context: ssl.SSLContext | None
) -> tuple[list[trio.abc.Listener[Any]], int]:
    sockets = await trio.open_tcp_listeners(port, host=host, backlog=_BACKLOG)
    taken = int(sockets[0].socket.getsockname()[1])
    if ssl_context is None:
        return [*sockets], taken
    return [trio.SSLListener(each, ssl_context) for each in sockets], taken


async def _while(vendor: ScriptedVendor, *, closed: bool) -> None:
    """Return when the vendor no longer is as `closed` says."""
    while vendor.selector.closed(vendor.elapsed) is closed:
        change = vendor.selector.next_change(vendor.elapsed)
        with trio.move_on_at(math.inf if change is None else vendor.started_at + change):
            await vendor.wait_script_changed()

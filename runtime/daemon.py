"""The daemon: a dispatcher behind the gateway behind the server, from start to drained.

SIGTERM or Ctrl-C begins the drain: `/ready` says 503, nothing new is accepted, running requests may end within
`server.drain`. A second signal stops at once. The exit code is 0 after a clean end, 1 when the house could not
go on (an actor that it cannot do without crashed too often), and 130 after a second signal.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

import structlog
import trio

from .config import Loaded, load
from .dispatcher import Dispatcher
from .gateway.app import Gateway
from .logs import configure
from .wire.server import Server, ServerLimits

__all__ = ["run"]

log = structlog.get_logger("llm_dispatcher.daemon")


def run(
    config_path: str | None = None,
    *,
    host: str | None = None,
    port: int | None = None,
    log_level: str | None = None,
) -> int:
    """Serve until told to stop; returns the process's exit code. Raises `config.ConfigError`."""
    loaded = load(config_path)
    config = loaded.config
    configure(log_level or config.logging.level, config.logging.format)
    try:
        return trio.run(
            _serve, loaded, host or config.server.host, config.server.port if port is None else port
        )
    except* OSError as group:
        first = group.exceptions[0]
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        log.error("cannot serve", error=str(first), remedy="name another address with --host and --port")
    except* Exception as group:
        log.error("the house could not go on", exc_info=group)
    return 1


async def _serve(loaded: Loaded, host: str, port: int) -> int:
    server_config = loaded.config.server
    async with Dispatcher.open(loaded) as dispatcher:
        gateway = Gateway(dispatcher)
        limits = ServerLimits(
            body=int(server_config.max_body),
            connections=server_config.max_connections,
            keep_alive=float(server_config.keep_alive),
        )
        server = Server(gateway, limits)
        listeners = await trio.open_tcp_listeners(port, host=host, backlog=1024)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                await nursery.start(server.serve, listeners)
                _announce(loaded, dispatcher, listeners)
                await anext(signals)
                drained = await _drain(server, gateway, signals, float(server_config.drain))
                nursery.cancel_scope.cancel()
    log.info("stopped", requests=server.requests)
    return 0 if drained else 130


async def _drain(server: Server, gateway: Gateway, signals: object, grace: float) -> bool:
    """Let running requests end; False when a second signal cut them off."""
    gateway.draining = True
    log.info("draining", in_flight=server.in_flight, grace_seconds=grace)
    drained = False
    async with trio.open_nursery() as nursery:

        async def impatience() -> None:
            await anext(signals)  # type: ignore[call-overload]  # trio does not export the iterator's type
            log.warning("stopping at once")
            nursery.cancel_scope.cancel()

        nursery.start_soon(impatience)
        await server.drain(trio.current_time() + grace)
        drained = True
        nursery.cancel_scope.cancel()
    return drained


def _announce(loaded: Loaded, dispatcher: Dispatcher, listeners: Sequence[trio.SocketListener]) -> None:
    """Say which vendors, models and routes are served, and where."""
    for vendor in dispatcher.serving.vendors:
        log.info(
            "vendor",
            name=vendor.name,
            dialect="simulated" if vendor.simulate else vendor.dialect,
            models=[model.name for model in vendor.models],
        )
    for skipped in loaded.serving.skipped:
        log.info("vendor not served", name=skipped.vendor, reason=skipped.reason)
    if not dispatcher.serving.vendors:
        log.warning("no vendor is served", remedy="give a vendor's key, or run `llm-dispatcher check`")
    log.info(
        "names",
        routes=[route.name for route in loaded.config.routes],
        modes=sorted(dispatcher.routing.modes),
        config=str(loaded.file),
    )
    for listener in listeners:
        address = listener.socket.getsockname()
        shown = f"[{address[0]}]" if ":" in address[0] else address[0]
        log.info("serving", url=f"http://{shown}:{address[1]}/v1")

"""The daemon: a dispatcher behind the gateway behind the server, from start to drained.

SIGTERM or Ctrl-C begins the drain: `/ready` says 503 and every answer closes its connection. After SIGTERM new requests
are still taken for `server.lame_duck`, as long as anybody is connected; then nothing new is accepted, and running
requests may end. What still runs `server.drain` after the signal is ended with `server_draining`, and the process is
gone five seconds later at the latest. A second signal stops at once.

When an actor that the house cannot do without has crashed too often, nothing new can be served: the daemon drains as
after Ctrl-C, so that answers under way reach their callers and are settled, and leaves the restart to whoever keeps
it running (systemd, Kubernetes). The exit code is 0 after a clean end, 1 when the house could not go on, and 130 after a
second signal.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Sequence
from typing import Final

import trio

from ..actors.log import Log
from ..actors.machines.overload import Overload
from .config import Loaded, load
from .config.schema import Server as ServerConfig
from .dispatcher import Dispatcher
from .gateway.admission import Admission
from .gateway.app import Gateway
from .logs import configure
from .overload import LoadMonitor, Signal, memory_signal
from .process import open_files, raise_file_limit
from .wire.descriptors import Descriptors
from .wire.listening import Address, listening, shown
from .wire.server import Server, ServerLimits
from .wire.server_tls import Certificate, CertificateError

__all__ = ["run"]

_OTHER_FILES: Final = 100
"""File descriptors beside those of clients and vendors."""
_HARD_STOP: Final = 5.0
"""Seconds after the end of the drain at which what still runs is cancelled."""

log = Log("llm_dispatcher.daemon")


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
        return trio.run(_serve, loaded, _address(config.server, host, port))
    except* OSError as group:
        log.error(
            "cannot serve",
            error=str(_first(group)),
            remedy="name another address: --host and --port, or server.unix_socket",
        )
    except* CertificateError as group:
        log.error("cannot serve", error=str(_first(group)), remedy="mend [server.tls]")
    except* Exception as group:
        log.critical("the house could not go on", exc_info=group)
    return 1


def _first(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


def _address(config: ServerConfig, host: str | None, port: int | None) -> Address:
    """Where to listen; a host or port of the command line goes before all that the configuration says."""
    return Address(
        host=host or config.host,
        port=config.port if port is None else port,
        unix=config.unix_socket if host is None and port is None else None,
        unix_mode=int(config.unix_socket_mode, 8),
        backlog=config.backlog,
        reuse_port=config.reuse_port,
    )


async def _serve(loaded: Loaded, address: Address) -> int:
    config = loaded.config.server
    tls = (
        None
        if config.tls is None
        else Certificate(config.tls.certificate, config.tls.key, config.tls.client_ca)
    )
    files = _file_limit(config)
    overload = Overload()
    last_grace = float(config.drain) + _HARD_STOP
    async with Dispatcher.open(loaded, last_grace=last_grace) as dispatcher:
        gateway = Gateway(dispatcher, Admission(overload, default=config.default_criticality))
        server = Server(
            gateway,
            _limits(config),
            tls=None if tls is None else lambda: tls.context,
            descriptors=Descriptors(files),
            refusal=gateway.refusal,
        )
        gateway.reports["server"] = server.statistics
        monitor = _monitor(config, overload, files, server)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with listening(address) as listeners, trio.open_nursery() as nursery:
                await nursery.start(server.serve, listeners)
                nursery.start_soon(monitor.run)
                if tls is not None:
                    nursery.start_soon(tls.watch)
                _announce(loaded, dispatcher, [shown(listener, server.scheme) for listener in listeners])
                told = await _told_to_stop(signals, dispatcher)
                drained = await _drain(server, gateway, signals, config, politely=told == signal.SIGTERM)
                nursery.cancel_scope.cancel()
    log.info("stopped", requests=server.requests)
    if told is None:
        return 1
    return 0 if drained else 130


async def _told_to_stop(signals: AsyncIterator[int], dispatcher: Dispatcher) -> int | None:
    """Wait for a signal, and return it; None when there is none and the house cannot go on."""
    told: int | None = None

    async with trio.open_nursery() as nursery:

        async def fail() -> None:
            failure = await dispatcher.wait_failing()
            log.critical(
                "the house cannot go on",
                reason=str(failure),
                remedy="start it again; a crash that comes back is a mistake of ours: please report it with the log",
            )
            nursery.cancel_scope.cancel()

        nursery.start_soon(fail)
        told = await anext(signals)
        nursery.cancel_scope.cancel()
    return told


def _limits(config: ServerConfig) -> ServerLimits:
    return ServerLimits(
        body=int(config.max_body),
        connections=config.max_connections,
        connections_per_address=config.max_connections_per_address,
        keep_alive=float(config.keep_alive),
        head_timeout=float(config.head_timeout),
        stall=float(config.stall_timeout),
        body_rate=float(config.slowest_client),
        answer_rate=float(config.slowest_client),
    )


def _file_limit(config: ServerConfig) -> int | None:
    """Raise the limit of open files as far as it goes, and say so if that is too little for the configuration."""
    limit = raise_file_limit()
    wanted = 2 * config.max_connections + _OTHER_FILES
    if limit is not None and limit < wanted:
        log.warning(
            "the limit of open files is lower than max_connections needs",
            limit=limit,
            wanted=wanted,
            connections_served=max(0, (limit - _OTHER_FILES) // 2),
            remedy="raise the hard limit (`ulimit -Hn`, LimitNOFILE=, --ulimit nofile=) or lower server.max_connections",
        )
    return limit


def _monitor(config: ServerConfig, overload: Overload, files: int | None, server: Server) -> LoadMonitor:
    memory = config.overload.memory
    signals = [memory_signal(None if memory is None else int(memory))]
    if files is not None:
        signals.append(Signal("open_files", open_files, files))
    return LoadMonitor(
        overload,
        [each for each in signals if each is not None],
        lag_limit=float(config.overload.loop_lag),
        on_change=lambda stage: server.strain(stage > 0),
    )


async def _drain(
    server: Server, gateway: Gateway, signals: AsyncIterator[int], config: ServerConfig, *, politely: bool
) -> bool:
    """Let running requests end, `politely` with a lame duck before; False when a second signal cut them off."""
    begun = trio.current_time()
    deadline = begun + float(config.drain)
    gateway.draining = server.closing = True
    log.info("draining", in_flight=server.in_flight, grace_seconds=float(config.drain))
    drained = False
    async with trio.open_nursery() as nursery:

        async def impatience() -> None:
            await anext(signals)
            log.warning("stopping at once")
            nursery.cancel_scope.cancel()

        nursery.start_soon(impatience)
        if politely:
            await server.wait_until_empty(min(deadline, begun + float(config.lame_duck)))
        await server.drain(deadline)
        drained = True
        nursery.cancel_scope.cancel()
    return drained


def _announce(loaded: Loaded, dispatcher: Dispatcher, addresses: Sequence[str]) -> None:
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
    for address in addresses:
        log.info("serving", url=address if address.startswith("unix:") else f"{address}/v1")

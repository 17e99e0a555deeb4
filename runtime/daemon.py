"""The daemon: a dispatcher behind the gateway behind the server, from start to drained.

SIGTERM or Ctrl-C begins the drain: `/ready` says 503 and every answer closes its connection. After SIGTERM new requests
are still taken for `server.lame_duck`, as long as anybody is connected; then nothing new is accepted, and running
requests may end. What still runs `server.drain` after the signal is ended with `server_draining`, and the process is
gone five seconds later at the latest. A second signal stops at once.

When an actor that the house cannot do without has crashed too often, nothing new can be served: the daemon drains as
after Ctrl-C, so that answers under way reach their callers and are settled, and leaves the restart to whoever keeps
it running (systemd, Kubernetes). The exit code is 0 after a clean end, 1 when the house could not go on, and 130 after a
second signal.

With several workers this is what each of them does (`workers`): its parent passes signals on, and when the parent is gone it drains as
after Ctrl-C.
"""

from __future__ import annotations

import gc
import pickle
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

import trio

from ..actors.log import Log
from ..actors.machines.overload import Overload
from .config import Loaded
from .config.schema import Server as ServerConfig
from .dispatcher import Dispatcher
from .gateway.admin import portrait
from .gateway.admission import Admission
from .gateway.app import Gateway
from .logs import configure
from .overload import LoadMonitor, Signal, memory_signal
from .process import memory_limit, open_files, raise_file_limit
from .wire.descriptors import Descriptors
from .wire.listening import Address, listening, shown
from .wire.server import Server, ServerLimits
from .wire.server_tls import Certificate, CertificateError
from .workers.channel import Channel
from .workers.link import Link
from .workers.protocol import ToWorker, Welcome
from .workers.sockets import inherited
from .workers.view import Fellows

__all__ = ["run", "run_worker"]

_OTHER_FILES: Final = 100
"""File descriptors beside those of clients and vendors."""
_HARD_STOP: Final = 5.0
"""Seconds after the end of the drain at which what still runs is cancelled."""

log = Log("llm_dispatcher.daemon")


def run(loaded: Loaded, address: Address, log_level: str | None = None) -> int:
    """Serve in this process alone until told to stop; returns its exit code."""
    logging = loaded.config.logging
    configure(log_level or logging.level, logging.format)
    return _run(_serve, loaded, listening(address))


def run_worker(channel: int, sockets: list[int]) -> int:
    """Serve as one of several processes (`workers`), over descriptors that the parent has handed down; returns the exit code."""
    return _run(_serve_as_worker, channel, sockets)


def _run(main: Callable[..., Awaitable[int]], *arguments: object) -> int:
    try:
        return trio.run(main, *arguments)
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


async def _serve_as_worker(descriptor: int, sockets: list[int]) -> int:
    inner = socket.socket(fileno=descriptor)
    channel = Channel[ToWorker](trio.SocketStream(trio.socket.from_stdlib_socket(inner)), ToWorker)
    welcome = await channel.receive()
    if not isinstance(welcome, Welcome):
        return 1
    # Pickled by the parent, which is this very program, and nobody else can write to this end.
    loaded: Loaded = pickle.loads(welcome.loaded)
    configure(welcome.log_level, loaded.config.logging.format, welcome.worker)
    return await _serve(loaded, inherited(sockets), Link(channel, welcome))


async def _serve(
    loaded: Loaded,
    listeners_at: AbstractAsyncContextManager[Sequence[trio.SocketListener]],
    link: Link | None = None,
) -> int:
    config = loaded.config.server
    tls = (
        None
        if config.tls is None
        else Certificate(config.tls.certificate, config.tls.key, config.tls.client_ca)
    )
    files = _file_limit(config, tells=link is None or link.announces)
    overload = Overload()
    last_grace = float(config.drain) + _HARD_STOP
    holdings, fellows = (None, None) if link is None else (link.holdings, Fellows(link))
    async with Dispatcher.open(loaded, last_grace=last_grace, holdings=holdings) as dispatcher:
        gateway = Gateway(dispatcher, Admission(overload, default=config.default_criticality), fellows)
        server = Server(
            gateway,
            _limits(config),
            tls=None if tls is None else lambda: tls.context,
            descriptors=Descriptors(files),
            refusal=gateway.refusal,
        )
        gateway.reports["server"] = server.statistics
        monitor = _monitor(config, overload, files, server, 1 if link is None else link.workers)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with listeners_at as listeners, trio.open_nursery() as nursery:
                if link is not None:
                    signals = await nursery.start(link.signals, signals)
                    await nursery.start(link.run, dispatcher, partial(portrait, dispatcher, gateway.reports))
                _settle()
                await nursery.start(server.serve, listeners)
                nursery.start_soon(monitor.run)
                if tls is not None:
                    nursery.start_soon(tls.watch)
                if link is None or link.announces:
                    _announce(loaded, dispatcher)
                if link is not None:
                    await link.ready()
                else:
                    for listener in listeners:
                        log.info("serving", url=shown(listener, server.scheme, path="/v1"))
                told = await _told_to_stop(signals, dispatcher, link)
                drained = await _drain(server, gateway, signals, config, politely=told == signal.SIGTERM)
                nursery.cancel_scope.cancel()
    log.info("stopped", requests=server.requests)
    if told is None:
        return 1
    return 0 if drained else 130


def _settle() -> None:
    """Take what was made until now out of the garbage collector's sight: modules, classes, configuration, actors.

    Some 45,000 objects that stay to the end, which every full collection would visit while all requests wait. Before the
    first caller is accepted, since the last of those collections is this one: what is garbage now would stay for good.
    A program that embeds a dispatcher decides that for itself.
    """
    gc.collect()
    gc.freeze()


async def _told_to_stop(signals: AsyncIterator[int], dispatcher: Dispatcher, link: Link | None) -> int | None:
    """Wait for a signal, and return it; None when there is none and the house cannot go on. A worker whose parent is gone is to
    stop as after Ctrl-C."""
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

        async def end_with_parent(link: Link) -> None:
            nonlocal told
            await link.gone.wait()
            told = signal.SIGINT
            nursery.cancel_scope.cancel()

        nursery.start_soon(fail)
        if link is not None:
            nursery.start_soon(end_with_parent, link)
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


def _file_limit(config: ServerConfig, *, tells: bool) -> int | None:
    """Raise the limit of open files as far as it goes, and, if it `tells`, say so where that is too little for the configuration."""
    limit = raise_file_limit()
    wanted = 2 * config.max_connections + _OTHER_FILES
    if tells and limit is not None and limit < wanted:
        log.warning(
            "the limit of open files is lower than max_connections needs",
            limit=limit,
            wanted=wanted,
            connections_served=max(0, (limit - _OTHER_FILES) // 2),
            remedy="raise the hard limit (`ulimit -Hn`, LimitNOFILE=, --ulimit nofile=) or lower server.max_connections",
        )
    return limit


def _monitor(
    config: ServerConfig, overload: Overload, files: int | None, server: Server, processes: int
) -> LoadMonitor:
    memory = config.overload.memory
    # What the machine has is for all processes; what is configured is each one's own.
    signals = [memory_signal(_share_of_memory(processes) if memory is None else int(memory))]
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


def _share_of_memory(processes: int) -> int | None:
    whole = memory_limit()
    return None if whole is None else whole // processes


def _announce(loaded: Loaded, dispatcher: Dispatcher) -> None:
    """Say which vendors, models and routes are served."""
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

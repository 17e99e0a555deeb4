"""The parent: starts the workers, keeps them alive, passes signals on, and ends when they have ended.

The first worker is started alone. What is wrong with the configuration or the machine shows there, once, and ends everything with
that worker's exit code. Then come the others, and when all serve the parent says so.

A worker that ends unasked is started again: at once, and then with growing, jittered pauses (`machines.restarts`). While at least one
serves the parent goes on for ever; when none does and `_HOPELESS` starts in a row have failed it gives up.

SIGTERM and Ctrl-C are passed on, and so is a second signal (see `runtime.daemon`): by a word, and not as signals, which
systemd sends to every process of a service by itself. Workers are process groups of their own, so that the terminal's Ctrl-C
reaches the parent only. A parent that is killed closes its ends of the channels by that, and the
workers drain and end.
"""

from __future__ import annotations

import os
import pickle
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Final

import trio

from ...actors.log import Log
from ...actors.machines.restarts import RestartDelay
from ..config import Loaded
from ..logs import configure
from ..wire.listening import Address, shown
from .channel import Channel
from .keeper import Keeper, Line
from .protocol import FromWorker, Welcome
from .sockets import Place, listening_together

__all__ = ["Parent", "run_with"]

log = Log("llm_dispatcher.parent")

_HOPELESS: Final = 5
"""Starts that may fail in a row while nobody serves."""
_LONG_REST: Final = 2.0
"""A worker that rests for longer than this has its socket closed, so that nobody waits there."""
_LAST_WORDS: Final = 1.0
"""Seconds for reading what a worker said before it died."""
_HARD_STOP: Final = 10.0
"""Seconds after the end of the drain at which workers that are still there are killed."""
_AT_ONCE: Final = 3.0
"""The same after a second signal."""


class _Worker:
    """One of the workers, over all its lives."""

    def __init__(self, number: int, place: Place) -> None:
        self.number = number
        self.place = place
        self.process: trio.Process | None = None
        self.ready = trio.Event()
        """It has served once."""
        self.serving = False
        self.code: int | None = None


def run_with(loaded: Loaded, address: Address, workers: int, log_level: str | None = None) -> int:
    """Serve with so many workers until told to stop; returns the exit code."""
    level = log_level or loaded.config.logging.level
    configure(level, loaded.config.logging.format)
    return trio.run(_serve, loaded, address, workers, level)


async def _serve(loaded: Loaded, address: Address, workers: int, log_level: str) -> int:
    try:
        async with listening_together(address, workers) as places:
            return await Parent(loaded, log_level, places).run()
    except OSError as error:
        remedy = "name another address: --host and --port, or server.unix_socket"
        log.error("cannot serve", error=str(error), remedy=remedy)
        return 1


class Parent:
    """See the module's docstring. `places`: where each worker is to listen."""

    def __init__(
        self,
        loaded: Loaded,
        log_level: str,
        places: Sequence[Place],
        rng: random.Random | None = None,
    ) -> None:
        self._drain = float(loaded.config.server.drain)
        self._loaded = pickle.dumps(loaded)
        self._log_level = log_level
        scheme = "http" if loaded.config.server.tls is None else "https"
        self._urls = [shown(each, scheme, path="/v1") for each in places[0].listeners]
        self._workers = [_Worker(number, each) for number, each in enumerate(places, 1)]
        self._keeper = Keeper(len(places))
        self._rng = rng or random.Random()
        self._lives = 0
        self._failed = 0
        self._announced = False
        self._stopping = trio.Event()
        self._hopeless: int | None = None

    async def run(self) -> int:
        """Until all workers have ended; returns the exit code."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keeper.run)
                nursery.start_soon(self._obey, signals)
                try:
                    async with trio.open_nursery() as keeping:
                        first, *others = self._workers
                        keeping.start_soon(self._keep_alive, first)
                        await self._first_of(first.ready, self._stopping)
                        if not self._stopping.is_set():
                            for worker in others:
                                keeping.start_soon(self._keep_alive, worker)
                            keeping.start_soon(self._announce)
                finally:
                    self._close_sockets()
                nursery.cancel_scope.cancel()
        return self._exit_code()

    def _exit_code(self) -> int:
        if self._hopeless is not None:
            return self._hopeless
        # One that was still starting dies of the signal itself.
        codes = {worker.code for worker in self._workers} - {None, -signal.SIGTERM, -signal.SIGINT}
        log.info("all workers have ended")
        return 130 if 130 in codes else 1 if codes - {0} else 0

    # --- one worker -------------------------------------------------------------------------

    async def _keep_alive(self, worker: _Worker) -> None:
        delay = RestartDelay()
        while not self._stopping.is_set():
            try:
                served = await self._live(worker)
            except OSError as error:
                # No process, no descriptor, or the address is taken: that may pass.
                log.error("a worker cannot be started", worker=worker.number, error=str(error))
                served, worker.code = False, None
            if self._stopping.is_set():
                return
            self._failed = 0 if served else self._failed + 1
            if not served and self._give_up(worker):
                return
            rest = delay.after_crash(trio.current_time(), self._rng)
            log.error(
                "a worker has ended", worker=worker.number, code=worker.code, starts_again_in=round(rest, 2)
            )
            if rest > _LONG_REST and worker.place.own:
                worker.place.close()
            with trio.move_on_after(rest):
                await self._stopping.wait()

    def _give_up(self, worker: _Worker) -> bool:
        """Whether to: at the very start the first failure tells, later several in a row while nobody serves."""
        begun = any(each.ready.is_set() for each in self._workers)
        if begun and (self._failed < _HOPELESS or any(each.serving for each in self._workers)):
            return False
        self._hopeless = worker.code if worker.code is not None and worker.code > 0 else 1
        if begun or worker.code not in (1, 2):
            # What ends with these has said why.
            log.critical(
                "workers end before they serve",
                code=worker.code,
                starts=self._failed,
                remedy="see the log above for why",
            )
        self._stop(signal.SIGTERM)
        return True

    async def _live(self, worker: _Worker) -> bool:
        """One life; returns whether it has served."""
        self._lives += 1
        if not worker.place.listeners:
            await worker.place.reopen()
        ours, theirs = socket.socketpair()
        with theirs:
            worker.process = process = await self._spawn(theirs, worker.place.descriptors)
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        line = Line(worker.number, self._lives, Channel[FromWorker](stream, FromWorker))
        try:
            async with trio.open_nursery() as nursery:
                ended = trio.Event()

                async def converse() -> None:
                    await self._keeper.converse(line, self._welcome(worker))
                    ended.set()

                nursery.start_soon(converse)
                nursery.start_soon(self._note_ready, worker, line)
                await process.wait()
                with trio.move_on_after(_LAST_WORDS):
                    await ended.wait()
                nursery.cancel_scope.cancel()
        finally:
            worker.serving = False
            if process.returncode is None:
                process.kill()
            worker.code = process.returncode
        return line.ready.is_set()

    @staticmethod
    async def _note_ready(worker: _Worker, line: Line) -> None:
        await line.ready.wait()
        worker.serving = True
        worker.ready.set()

    def _welcome(self, worker: _Worker) -> Welcome:
        return Welcome(
            worker=worker.number,
            workers=len(self._workers),
            loaded=self._loaded,
            log_level=self._log_level,
            announces=worker.number == 1 and not worker.ready.is_set(),
            orders=self._keeper.orders,
        )

    @staticmethod
    async def _spawn(channel: socket.socket, descriptors: list[int]) -> trio.Process:
        command = [
            sys.executable,
            *_safe_path(),
            "-m",
            "llm_dispatcher.runtime.workers.child",
            str(channel.fileno()),
        ]
        return await trio.lowlevel.open_process(
            [*command, *[str(each) for each in descriptors]],
            stdin=subprocess.DEVNULL,
            pass_fds=[channel.fileno(), *descriptors],
            process_group=0,
        )

    # --- all together -----------------------------------------------------------------------

    @staticmethod
    async def _first_of(*events: trio.Event) -> None:
        async with trio.open_nursery() as nursery:

            async def wait(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            for each in events:
                nursery.start_soon(wait, each)

    async def _announce(self) -> None:
        for worker in self._workers:
            await self._first_of(worker.ready, self._stopping)
        if self._stopping.is_set():
            return
        for url in self._urls:
            log.info("serving", url=url, workers=len(self._workers))

    async def _obey(self, signals: AsyncIterator[int]) -> None:
        """Pass signals on. What does not end in time is killed."""
        told = await anext(signals)
        self._stop(told)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._kill_after, self._drain + _HARD_STOP)
            while True:
                told = await anext(signals)
                self._keeper.stop(told)
                nursery.start_soon(self._kill_after, _AT_ONCE)

    def _stop(self, told: int) -> None:
        """Begin the end: workers are told, and nobody is started any more."""
        self._stopping.set()
        self._close_sockets()
        self._keeper.stop(told)

    async def _kill_after(self, seconds: float) -> None:
        await trio.sleep(seconds)
        for worker in self._workers:
            if worker.process is not None:
                worker.process.kill()

    def _close_sockets(self) -> None:
        """While the parent holds a socket, connections are taken in there that no worker will accept."""
        for worker in self._workers:
            worker.place.close()


def _safe_path() -> list[str]:
    """A worker does not import what lies about in the working directory, unless the parent itself was started so."""
    return [] if "" in sys.path or os.getcwd() in sys.path else ["-P"]

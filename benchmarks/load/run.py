"""One run, from its first request to its report."""

from __future__ import annotations

import os
import platform
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Final, TypeAlias

import trio

from ...runtime.clock import wall_now
from .effort import Stopwatch
from .loop import Loop
from .plan import Plan
from .processes import Used, used
from .recorder import Recorder
from .report import About, Report, build
from .scripted import VendorProcess
from .targets import Target

__all__ = ["Look", "Opened", "run", "version"]

Opened: TypeAlias = AbstractAsyncContextManager[tuple[Target, Sequence[VendorProcess]]]
"""A target, ready to be sent to, and the scripted vendors that were started for it."""

Look: TypeAlias = Callable[[Recorder], None]
"""Is shown how it stands, about twice a second."""

_EVERY: Final = 0.5


async def run(plan: Plan, opened: Opened, look: Look | None = None) -> Report:
    """Carry out `plan` against what `opened` opens, and report.

    From the first request on, Ctrl-C (or SIGTERM) ends the run at once, and the report is of what had been seen until then.
    Whatever opening raises is raised as it is. To be called in the main thread, which alone can be told of signals.
    """
    async with opened as (target, vendors):
        recorder = Recorder(plan.objectives, plan.price)
        loop = Loop(target, recorder, plan.bounds, timeout=plan.timeout, drain=plan.drain)
        about, stopwatch, before = _about(plan, target), Stopwatch(), _used(plan.pid)
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                with trio.CancelScope() as running:
                    nursery.start_soon(_mind, signals, loop, running)
                    if look is not None:
                        nursery.start_soon(_show, look, recorder)
                    await plan.load.run(loop, plan.seed)
                seconds, effort = trio.current_time() - recorder.began, stopwatch.read()
                nursery.cancel_scope.cancel()
        after = _used(plan.pid)
        books = {vendor.name: told for vendor in vendors if (told := await vendor.books())}
        return build(
            recorder,
            about,
            ending=loop.ending,
            seconds=seconds,
            sending=loop.sending,
            effort=effort,
            objectives=plan.objectives,
            in_process=target.in_process,
            books=books,
            used=None if before is None or after is None else (before, after),
        )


def _used(pid: int | None) -> Used | None:
    return None if pid is None else used(pid)


async def _mind(signals: AsyncIterator[int], loop: Loop, running: trio.CancelScope) -> None:
    await anext(signals)
    loop.interrupt(running)


async def _show(look: Look, recorder: Recorder) -> None:
    while True:
        look(recorder)
        await trio.sleep(_EVERY)


def _about(plan: Plan, target: Target) -> About:
    began = datetime.fromtimestamp(wall_now(), UTC).isoformat(timespec="seconds")
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return About(
        version=version(),
        began=began,
        machine=machine,
        target=target.description,
        vendors=plan.vendors,
        load=f"{plan.load}, {plan.extent}",
        model=plan.model,
        stream=plan.stream,
        seed=plan.seed,
    )


def version() -> str:
    """This program's version, or that it has none."""
    from importlib import metadata

    try:
        return metadata.version("llm-dispatcher")
    except metadata.PackageNotFoundError:
        return "from its sources"

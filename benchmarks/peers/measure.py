"""What is done to each peer, and what comes out: CPU, latencies, memory, and what its clients see of vendors that fail."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import httpx
import msgspec
import trio
from msgspec import Struct

from ...runtime.wire.client import TrioTransport
from ..load.effort import Stopwatch
from ..load.histogram import Histogram
from ..load.jobs import Job, Sizes
from ..load.loop import Bounds, Loop
from ..load.plan import Arriving, Load, Users
from ..load.processes import used
from ..load.recorder import Recorder
from ..load.scripted import VendorProcess
from ..load.sizes import Distribution
from ..load.targets import Address, Target, over_http
from ..load.watch import Watch
from ..vendor import Delays, ErrorEvent, Script, Step, Stop
from .peer import MODEL, Peer, serving

__all__ = ["CUT_SHOWN_AS_WHOLE", "Faults", "Figures", "Sitting", "measure"]

CUT_SHOWN_AS_WHOLE: Final = "cut, with every sign of a whole answer"
"""The client was given a finish reason, or the stream's last word, and not the whole text."""

_USERS: Final = 16
_SHORT, _LONG = 20, 120
"""Tokens of two kinds of streams; the difference of what they cost is that of the chunks alone."""
_WARM: Final = 1000
_TEXT: Final = "All of this is to arrive. " * 8
_PROMPT: Final = Distribution("fixed", 100)
_TIMEOUT: Final = 30.0

_SOUND: Final = Script(default=Step(tokens=50))
_FAILING: Final = Script(seed=1, rules=[Step(chance=0.3, error="server_error")], default=Step(tokens=50))
_CUTTING: Final = Script(
    seed=1,
    rules=[
        Step(chance=0.2, text=_TEXT, stop=Stop(after_tokens=10, how="eof", where="mid_event"), delay=Delays(between="2ms")),
        Step(chance=0.2, text=_TEXT, stop=Stop(after_tokens=10, how="reset"), delay=Delays(between="2ms")),
        Step(chance=0.2, text=_TEXT, stop=Stop(after_tokens=10, how="end"), delay=Delays(between="2ms")),
        Step(chance=0.2, text=_TEXT, error_event=ErrorEvent(kind="server_error", after_tokens=10), delay=Delays(between="2ms")),
    ],
    default=Step(text=_TEXT, delay=Delays(between="2ms")),
)  # fmt: skip
"""Four streams in five break off after ten tokens: by EOF, by RST, as if they were whole, and by an error event."""


class Faults(Struct, frozen=True, kw_only=True):
    """What clients saw of vendors that fail."""

    requests: int
    whole: int
    told: int
    """Failures that the client was told of: by a status, an error event, or a connection that broke."""
    silent: int
    """Streams that ended as HTTP wants it, without a finish reason and without the last word: many clients take that for
    an end."""
    false: int
    """See `CUT_SHOWN_AS_WHOLE`."""
    attempts: int
    """That the vendors have counted, both together."""


class Figures(Struct, frozen=True, kw_only=True):
    """Of one peer. CPU and memory are those of its whole tree of processes; None for what has none."""

    name: str
    version: str
    resilience: str
    cpu_per_request: float | None
    """Seconds, of a plain request of 100 tokens with an answer of 50, 16 at once."""
    cpu_per_chunk: float | None
    """Seconds, of one further chunk of a stream."""
    answered: float
    """Plain answers a second, 16 at once: of little meaning where the machine is shared."""
    p50: float | None
    """Latency of plain requests at a low, even rate, in seconds, from the intended start."""
    p99: float | None
    direct_p50: float | None
    """The same of requests that went to the vendor directly, in turn with those: on a machine that is shared, only what was
    measured at the same moments can be subtracted."""
    direct_p99: float | None
    rss_idle: int | None
    """Bytes, before the first request."""
    rss: int | None
    """Bytes, after all of them."""
    one_fails: Faults
    """Plain requests, while the first vendor answers three in ten with 500 and the second is sound."""
    both_fail: Faults
    """Plain requests, while both answer three in ten with 500."""
    cutting: Faults
    """Streams of vendors that break off four in five."""
    generator: float
    """The share of a core that the load generator needed for the plain requests."""


class Sitting(Struct, frozen=True):
    """How long and how much: the same for every peer."""

    seconds: float = 3.0
    """Of each round that measures CPU time; those that measure latency take twice as long."""
    rate: float = 10.0
    """Requests a second, where latency is measured."""
    rounds: int = 3
    """Of which the least disturbed one counts."""
    gap: float = 0.01
    """Seconds between the tokens of a stream, each of which is then written on its own, as vendors do."""
    fault_requests: int = 200


async def measure(
    peer: Peer, version: str, folder: Path, work: Path, vendors: Sequence[VendorProcess], sitting: Sitting
) -> Figures:
    """All figures of `peer`. Raises `peer.Unavailable` if it does not start."""
    async with serving(peer, folder, work, [vendor.url for vendor in vendors]) as (address, pid):
        bench = _Bench(address, pid, vendors)
        rss_idle = None if pid is None else used(pid).rss
        sound = (_SOUND, _SOUND)
        # Until what is compiled while it runs has been compiled.
        await bench.run(sound, Bounds(seconds=2 * sitting.seconds, requests=_WARM), stream=False)
        each = Bounds(seconds=sitting.seconds)
        spoken = Script(default=Step(tokens=1000, delay=Delays(between=sitting.gap)))
        rounds = range(sitting.rounds)
        plain = _best([await bench.run(sound, each, stream=False) for _ in rounds])
        short = _best([await bench.run((spoken, spoken), each, stream=True, tokens=_SHORT) for _ in rounds])
        long = _best([await bench.run((spoken, spoken), each, stream=True, tokens=_LONG) for _ in rounds])
        through, past = _calmest([await bench.latencies(sound, sitting) for _ in rounds])
        rss = None if pid is None else used(pid).rss
        faults = Bounds(requests=sitting.fault_requests)
        one_fails = await bench.faults((_FAILING, _SOUND), faults, stream=False)
        both_fail = await bench.faults((_FAILING, _FAILING), faults, stream=False)
        cutting = await bench.faults((_CUTTING, _CUTTING), faults, stream=True)
    return Figures(
        name=peer.name,
        version=version,
        resilience=peer.resilience,
        cpu_per_request=plain.cpu_each,
        cpu_per_chunk=_difference(long.cpu_each, short.cpu_each, _LONG - _SHORT),
        answered=plain.recorder.ok / plain.seconds,
        p50=through.quantile(0.5),
        p99=through.quantile(0.99),
        direct_p50=past.quantile(0.5),
        direct_p99=past.quantile(0.99),
        rss_idle=rss_idle,
        rss=rss,
        one_fails=one_fails,
        both_fail=both_fail,
        cutting=cutting,
        generator=plain.generator,
    )


def _difference(long: float | None, short: float | None, chunks: int) -> float | None:
    return None if long is None or short is None else (long - short) / chunks


class _Seen(Struct, frozen=True):
    """One run against one peer."""

    recorder: Recorder
    seconds: float
    cpu: float | None
    generator: float

    @property
    def cpu_each(self) -> float | None:
        return self.cpu / self.recorder.ok if self.cpu is not None and self.recorder.ok else None


def _best(rounds: Sequence[_Seen]) -> _Seen:
    """The one with the least CPU time a request."""
    return min(rounds, key=lambda seen: math.inf if seen.cpu_each is None else seen.cpu_each)


def _calmest(rounds: Sequence[tuple[Histogram, Histogram]]) -> tuple[Histogram, Histogram]:
    """The one in which the vendor itself had the least median."""
    return min(rounds, key=lambda each: math.inf if (middle := each[1].quantile(0.5)) is None else middle)


class _Judge(Target):
    """A target whose answers have to be the whole text."""

    in_process = False

    def __init__(self, inner: Target) -> None:
        self.description = inner.description
        self._inner = inner

    async def send(self, job: Job, watch: Watch) -> None:
        await self._inner.send(job, watch)
        if watch.error is None and watch.characters < len(_TEXT):
            watch.fail(CUT_SHOWN_AS_WHOLE, f"{watch.characters} of {len(_TEXT)} characters")


class _Bench:
    """Runs against one started peer."""

    def __init__(self, address: Address, pid: int | None, vendors: Sequence[VendorProcess]) -> None:
        self._address = address
        self._pid = pid
        self._vendors = vendors

    async def run(
        self,
        scripts: tuple[Script, Script],
        bounds: Bounds,
        *,
        stream: bool,
        tokens: int = 50,
        load: Load | None = None,
        judged: bool = False,
    ) -> _Seen:
        await self._play(scripts)
        recorder = Recorder()
        users = load or Users(_USERS, Sizes(_PROMPT, Distribution("fixed", tokens)), None)
        async with over_http(self._address, stream=stream, timeout=_TIMEOUT, connections=256) as target:
            loop = Loop(
                _Judge(target) if judged else target, recorder, bounds, timeout=_TIMEOUT, drain=_TIMEOUT
            )
            before, stopwatch = self._cpu(), Stopwatch()
            await users.run(loop, 1)
            after, effort = self._cpu(), stopwatch.read()
        cpu = None if before is None or after is None else after - before
        return _Seen(recorder, trio.current_time() - recorder.began, cpu, effort.share)

    async def latencies(
        self, scripts: tuple[Script, Script], sitting: Sitting
    ) -> tuple[Histogram, Histogram]:
        """At an even rate: of requests through the peer, and of as many to the first vendor, by turns."""
        await self._play(scripts)
        beside = Address(base=self._vendors[0].url, model=MODEL, key="k")
        seen = (Recorder(), Recorder())
        even = Arriving("constant", sitting.rate, Sizes(_PROMPT, Distribution("fixed", 50)), 1000)

        async def run(address: Address, recorder: Recorder, after: float) -> None:
            await trio.sleep(after)
            async with over_http(address, stream=False, timeout=_TIMEOUT, connections=256) as target:
                bounds = Bounds(seconds=2 * sitting.seconds)
                await even.run(Loop(target, recorder, bounds, timeout=_TIMEOUT, drain=_TIMEOUT), 1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, self._address, seen[0], 0.0)
            nursery.start_soon(run, beside, seen[1], 0.5 / sitting.rate)
        return seen[0].latency, seen[1].latency

    async def faults(self, scripts: tuple[Script, Script], bounds: Bounds, *, stream: bool) -> Faults:
        seen = (await self.run(scripts, bounds, stream=stream, tokens=1000, judged=stream)).recorder
        counted = [await vendor.books() for vendor in self._vendors]

        def failed(name: str) -> int:
            return seen.errors[name].count if name in seen.errors else 0

        silent, false = failed("silent end"), failed(CUT_SHOWN_AS_WHOLE)
        return Faults(
            requests=seen.arrived,
            whole=seen.ok,
            told=seen.failed - silent - false,
            silent=silent,
            false=false,
            attempts=sum(int(each.get("attempts", 0)) for each in counted),
        )

    def _cpu(self) -> float | None:
        return None if self._pid is None else used(self._pid).cpu

    async def _play(self, scripts: tuple[Script, Script]) -> None:
        """Let the vendors begin `scripts`, each with a seed of its own, and with empty books."""
        async with httpx.AsyncClient(transport=TrioTransport(), timeout=10.0) as client:
            for number, (vendor, script) in enumerate(zip(self._vendors, scripts, strict=False)):
                origin = vendor.url.removesuffix("/v1")
                own = msgspec.structs.replace(script, seed=script.seed + number)
                body = msgspec.json.encode(own)
                headers = {"content-type": "application/json"}
                told = await client.post(f"{origin}/__vendor/script", content=body, headers=headers)
                told.raise_for_status()
                (await client.post(f"{origin}/__vendor/reset")).raise_for_status()

"""From a seed to a story: who is there, what they want, and everything that will go wrong. Data, made before anything runs.

A story draws its own size and character: few vendors or several, tight limits or none, a calm day or a storm. In a
*safety* story something fails all the time. In a *liveness* story all faults end at `heals_at`, and from `well_at` on
the house must serve again.
"""

from __future__ import annotations

import math
import random
from typing import Any, Final, Literal, TypeAlias

import msgspec
from llm_dispatcher.benchmarks.vendor import Billing, Delays, Limit, Script, Step, When
from llm_dispatcher.benchmarks.vendor.chance import Spread
from msgspec import Struct

from . import faults

__all__ = ["Behaviour", "Client", "Crash", "Jump", "Limits", "Mode", "Story", "VendorPlan", "tell"]

Mode: TypeAlias = Literal["safety", "liveness"]
Format: TypeAlias = Literal["openai", "anthropic", "gemini"]

JITTER: Final = 0.1
"""Seconds by which two requests may come closer together on their way to a vendor: one has to dial, or finds its vendor
slow to accept it, and the other has a connection. The vendors' windows are shorter by it."""
_LATE: Final = 0.5
"""The same where the loop stands still: so late may be sent what was to be sent meanwhile."""
OPEN_CAP: Final = 12.0
QUARANTINE: Final = 15.0
"""In the simulated house: the longest time for which a circuit stays open, and of an actor's first quarantine."""
_WINDOW: Final = 60.0
MODELS: Final = ("small", "large")


class Table(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a story."""


class Limits(Table, frozen=True, kw_only=True):
    """A vendor's, for each key; the house is configured with the same."""

    requests: int | None = None
    """A minute."""
    burst: float = 0.1
    """The share of them that may come at once."""
    tokens: int | None = None
    concurrent: int | None = None


class VendorPlan(Table, frozen=True, kw_only=True):
    """One vendor."""

    name: str
    format: Format
    models: tuple[str, ...]
    keys: tuple[str, ...]
    limits: Limits
    script: Script
    drains: bool = False
    """Whether the house reads an answer to its end when the client has left."""


class Behaviour(Table, frozen=True, kw_only=True):
    """What a client does with its answer. `after` counts the pieces that it has received by then."""

    kind: Literal["stays", "leaves", "gives up", "stops", "slow"] = "stays"
    """`leaves` after so many pieces; `gives up` after so many seconds, whatever has come; `stops` reading after so many
    pieces; `slow`: rests for so many seconds after each piece."""
    after: float = 0


class Client(Table, frozen=True, kw_only=True):
    """One request and who makes it."""

    number: int
    at: float
    model: str
    stream: bool
    characters: int
    most: int | None
    timeout: float
    tenant: str
    tools: bool = False
    speaks: Literal["openai", "anthropic"] = "openai"
    midstream: Literal["error", "continue", "restart"] | None = None
    """What the client wishes for a stream that breaks."""
    library: bool = False
    """Called as a library, and not over HTTP."""
    keeps: bool = True
    """Over a connection that others of its tenant use as well, one after another."""
    behaviour: Behaviour = Behaviour()


class Crash(Table, frozen=True, kw_only=True):
    """From `at` on, the next `times` messages that the actor handles crash it: at the `line`-th line that it executes, or
    (None) after all of its work, when it is about to answer. `until`: what has not happened by then does not."""

    actor: str
    at: float
    line: int | None = None
    times: int = 1
    until: float = math.inf


class Jump(Table, frozen=True, kw_only=True):
    """The event loop stands still, or (`wall`) the wall clock is set."""

    at: float
    seconds: float
    wall: bool = False


class Story(Table, frozen=True, kw_only=True):
    """Everything about one world. Two worlds of the same story are the same world."""

    seed: int
    mode: Mode
    seconds: float
    vendors: tuple[VendorPlan, ...]
    clients: tuple[Client, ...]
    crashes: tuple[Crash, ...] = ()
    jumps: tuple[Jump, ...] = ()
    heals_at: float | None = None
    well_at: float | None = None
    capacity: int = 65536
    """Bytes that a connection holds in each direction."""
    sliced: bool = True
    retries: float = 0.1
    """The retry budget, as a share of the requests; `floor` a second are granted besides."""
    floor: float = 0.1
    policy: str = "priority"
    first_token: float = 10.0
    between_tokens: float = 5.0
    total: float = 40.0
    jitter: float = JITTER
    """See `JITTER`."""
    hold: float = 0.0
    """Seconds for which first contents are held back."""
    drains_at: float | None = None
    """When the daemon is told to stop: nobody comes any more, and those who are there have `grace` seconds."""
    grace: float = 0.0


def tell(seed: int, mode: Mode = "safety") -> Story:
    """The story of a seed."""
    rng = random.Random(f"{mode} story {seed}")
    teller = _Teller(seed, mode, rng)
    return teller.story()


class _Teller:
    def __init__(self, seed: int, mode: Mode, rng: random.Random) -> None:
        self.seed = seed
        self.mode = mode
        self.rng = rng
        self.seconds = rng.choice([60.0, 120.0, 180.0, 300.0])
        self.heals_at: float | None = None
        self.well_at: float | None = None
        if mode == "liveness":
            self.seconds = 150.0
            self.heals_at = 60.0
            # The longest hint of the faults, an open circuit that failed its last probe just then, a quarantined actor.
            self.well_at = self.heals_at + OPEN_CAP * 1.2 + QUARANTINE + 10.0

    def story(self) -> Story:
        rng = self.rng
        jumps = self._jumps()
        self.jitter = JITTER if all(each.wall for each in jumps) else JITTER + _LATE
        vendors = tuple([self._vendor(number) for number in range(rng.randint(2, 5))])
        served = [model for vendor in vendors for model in vendor.models]
        return Story(
            seed=self.seed,
            mode=self.mode,
            seconds=self.seconds,
            vendors=vendors,
            clients=self._clients(sorted(set(served))),
            crashes=self._crashes([vendor.name for vendor in vendors]),
            jumps=jumps,
            jitter=self.jitter,
            heals_at=self.heals_at,
            well_at=self.well_at,
            capacity=rng.choice([4096, 16384, 65536]),
            sliced=rng.random() < 0.7,
            retries=rng.choice([0.0, 0.1, 0.2]),
            floor=1.0 if self.mode == "liveness" else rng.choice([0.0, 0.1, 1.0]),
            policy=rng.choice(["priority", "fastest", "weighted", "cheapest"]),
            first_token=rng.choice([4.0, 10.0]),
            between_tokens=rng.choice([3.0, 6.0]),
            total=rng.choice([30.0, 60.0]),
            hold=rng.choice([0.0, 0.0, 0.0, 0.1, 0.5]),
            drains_at=self._end(),
            grace=rng.choice([0.5, 5.0, 100.0]),
        )

    def _end(self) -> float | None:
        """Some houses are stopped while they are busy."""
        if self.mode == "safety" and self.rng.random() < 0.2:
            return round(self.seconds * self.rng.uniform(0.3, 0.9), 3)
        return None

    # --- vendors ----------------------------------------------------------------------------

    def _vendor(self, number: int) -> VendorPlan:
        rng = self.rng
        name = f"v{number}"
        keys = tuple([f"{name}-key-{each}" for each in range(rng.choice([1, 1, 2, 3]))])
        models = MODELS if number == 0 or rng.random() < 0.7 else (rng.choice(MODELS),)
        limits = self._limits()
        spoken: Format = rng.choice(["openai", "openai", "anthropic", "gemini"])
        return VendorPlan(
            name=name,
            format=spoken,
            models=models,
            keys=keys,
            limits=limits,
            script=self._script(keys, models, enforced(limits, spoken, self.jitter)),
            drains=rng.random() < 0.2,
        )

    def _limits(self) -> Limits:
        rng = self.rng
        if self.mode == "liveness":
            return Limits(requests=rng.choice([None, 600]), concurrent=rng.choice([None, 50]))
        return Limits(
            requests=rng.choice([None, 20, 60, 200]),
            burst=rng.choice([0.05, 0.1, 0.5]),
            tokens=rng.choice([None, None, 4000, 20000]),
            concurrent=rng.choice([None, None, 2, 10]),
        )

    def _script(self, keys: tuple[str, ...], models: tuple[str, ...], limits: list[Limit]) -> Script:
        rng = self.rng
        rules: list[Step] = []
        if rng.random() < 0.3:
            rules += self._closing(keys, models)
        rules += self._outages()
        rules += self._passing()
        return Script(
            seed=rng.randrange(2**31),
            rules=rules,
            default=Step(
                tokens=Spread(uniform=(3, 25)),
                delay=Delays(first_event=Spread(lognormal=(0.3, 0.5)), between=rng.choice([0.0, 0.02, 0.1])),
            ),
            connections=self._connections(),
            limits=limits,
            billing=Billing(),
            keep_alive=rng.choice([None, None, 5.0, 30.0]),
        )

    def _window(self) -> dict[str, Any]:
        """Some time within the story."""
        last = self.seconds if self.heals_at is None else self.heals_at
        begin = round(self.rng.uniform(0, last * 0.8), 1)
        end = min(last, round(begin + self.rng.uniform(2, 60), 1))
        return {"from_": begin, "until": max(end, begin + 0.1)}

    def _closing(self, keys: tuple[str, ...], models: tuple[str, ...]) -> list[Step]:
        if self.mode == "liveness":
            return []
        rng = self.rng
        name = rng.choice(sorted(faults.CLOSING))
        when = When(key=rng.choice(keys), model=rng.choice([None, *models]), **self._window())
        return [faults.step(faults.CLOSING, name, rng, when=when)]

    def _outages(self) -> list[Step]:
        rng = self.rng
        found = []
        for _ in range(rng.choice([0, 0, 1, 2])):
            name = rng.choice(sorted(faults.OUTAGES))
            chance = rng.choice([None, None, 0.5])
            found.append(faults.step(faults.OUTAGES, name, rng, when=When(**self._window()), chance=chance))
        return found

    def _passing(self) -> list[Step]:
        rng = self.rng
        share = rng.choice([0.0, 0.05, 0.2, 0.5])
        names = rng.sample(sorted(faults.PASSING), rng.randint(1, 8))
        when = When() if self.heals_at is None else When(until=self.heals_at)
        return [
            faults.step(faults.PASSING, name, rng, when=when, chance=share / len(names)) for name in names
        ]

    def _connections(self) -> list[Any]:
        rng = self.rng
        found = []
        for _ in range(rng.choice([0, 0, 0, 1, 2])):
            name = rng.choice(sorted(faults.CONNECTIONS))
            window = When(**self._window())
            found.append(faults.rule(name, rng, window=window, chance=rng.choice([None, 0.3])))
        return found

    # --- clients ----------------------------------------------------------------------------

    def _clients(self, models: list[str]) -> tuple[Client, ...]:
        rng = self.rng
        times = self._arrivals(rng.choice([100, 200, 300]))
        return tuple([self._client(number, at, models) for number, at in enumerate(times, 1)])

    def _arrivals(self, count: int) -> list[float]:
        """Some come evenly, some in bursts."""
        rng = self.rng
        last = self.seconds * 0.9
        times: list[float] = []
        while len(times) < count:
            at = rng.uniform(0, last)
            crowd = rng.randint(5, 40) if rng.random() < 0.03 and self.mode == "safety" else 1
            times += [round(at + rng.random() * 0.05 * crowd, 4) for _ in range(crowd)]
        return sorted(times)[:count]

    def _client(self, number: int, at: float, models: list[str]) -> Client:
        rng = self.rng
        calm = self.well_at is not None and at >= self.well_at
        return Client(
            number=number,
            at=at,
            model=rng.choice([*models, *models, "auto", "fast", "cost_saving", "hedged", "hedged"]),
            stream=rng.random() < 0.7,
            # Of a size of its own: the like of what has crashed an actor twice is refused for a while.
            characters=200 + 7 * number if calm else rng.choice([20, 100, 100, 1000, 6000]),
            most=rng.choice([None, 10, 40, 100]),
            timeout=30.0 if calm else rng.choice([1.0, 5.0, 20.0, 20.0, 60.0]),
            tenant=f"tenant-{rng.choice([0, 0, 0, 1, 2, 3])}",
            tools=rng.random() < 0.15,
            speaks=rng.choice(["openai", "openai", "anthropic"]),
            midstream=rng.choice([None] * 6 + ["continue", "restart"]),
            library=rng.random() < 0.2,
            keeps=rng.random() < 0.6,
            behaviour=Behaviour() if calm else self._behaviour(),
        )

    def _behaviour(self) -> Behaviour:
        rng = self.rng
        kind = rng.choices(["stays", "leaves", "gives up", "stops", "slow"], [80, 7, 6, 3, 4])[0]
        match kind:
            case "leaves" | "stops":
                return Behaviour(kind=kind, after=rng.choice([1, 1, 2, 3, 5, 10, 20]))
            case "gives up":
                return Behaviour(kind=kind, after=round(rng.expovariate(1.0), 3))
            case "slow":
                return Behaviour(kind=kind, after=round(rng.uniform(0.05, 1), 2))
            case _:
                return Behaviour()

    # --- the house --------------------------------------------------------------------------

    def _crashes(self, vendors: list[str]) -> tuple[Crash, ...]:
        rng = self.rng
        last = self.seconds if self.heals_at is None else self.heals_at
        found = []
        for name in vendors:
            for _ in range(rng.choice([0, 0, 1, 3])):
                line = rng.choice([None, rng.randint(1, 120)])
                found.append(Crash(actor=f"vendor {name}", at=round(rng.uniform(1, last), 2), line=line))
        if rng.random() < 0.1:
            # A loop: one crash more than is tolerated.
            name = rng.choice(vendors)
            found.append(Crash(actor=f"vendor {name}", at=round(rng.uniform(1, last), 2), times=6))
        for name in ("router", "stats"):
            at = rng.uniform(1, last)
            while at < last and rng.random() < 0.5:
                line = rng.choice([None, rng.randint(1, 60)])
                found.append(Crash(actor=name, at=round(at, 2), line=line))
                # Fewer than the house bears: five a minute.
                at += rng.uniform(15, 60)
        found = [msgspec.structs.replace(each, until=min(last, each.at + 10.0)) for each in found]
        return tuple(sorted(found, key=lambda each: each.at))

    def _jumps(self) -> tuple[Jump, ...]:
        rng = self.rng
        found = []
        if self.mode == "safety" and rng.random() < 0.1:
            at = round(rng.uniform(1, self.seconds), 2)
            found.append(Jump(at=at, seconds=rng.choice([0.5, 6.0, 15.0])))
        if rng.random() < 0.3:
            found.append(
                Jump(
                    at=round(rng.uniform(1, self.seconds), 2),
                    seconds=rng.choice([-3600.0, 3600.0]),
                    wall=True,
                )
            )
        return tuple(found)


def enforced(limits: Limits, format: Format, jitter: float) -> list[Limit]:
    """What the vendor enforces: what passes a bucket of this rate and burst in any minute, and no more."""
    found = []
    if limits.requests is not None:
        found.append(
            Limit(what="requests", most=most_requests(limits, _WINDOW), per=_WINDOW - jitter, scope="key")
        )
    if limits.tokens is not None:
        # Only recorded, since estimates may fall short; and Gemini limits nothing but the input.
        what: Literal["tokens", "input_tokens"] = "input_tokens" if format == "gemini" else "tokens"
        found.append(
            Limit(what=what, most=2 * limits.tokens, per=_WINDOW - jitter, scope="key", enforce=False)
        )
    if limits.concurrent is not None:
        found.append(Limit(what="concurrency", most=limits.concurrent, scope="key"))
    return found


def most_requests(limits: Limits, window: float) -> int:
    """Requests that may start within any `window` seconds: the burst, and what the rate brings meanwhile."""
    requests = limits.requests or 0
    return int(max(1.0, limits.burst * requests) + requests / 60.0 * window + 1e-9)

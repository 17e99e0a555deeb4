"""CPU time of single pieces of the hot path, without a socket or a scheduler between: what a decision, a lease, a chunk cost.

Each figure is the best of many short repetitions, since on a shared machine the least disturbed one is the truest.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import trio

from ..actors.gauge import LimitSpec
from ..actors.mailbox import Ask, Forward, Mailbox, serve
from ..actors.messages import Lease, Load, Ranking, Rankings, Route, Settle, Used
from ..actors.policies import POLICIES, Candidate
from ..actors.router import Router, RouterState
from ..actors.routing import RoutingTable, Selection
from ..actors.vault import DeploymentSpec, VendorSpec, VendorState
from ..actors.vendor import Vendor
from ..runtime.assembly import Assembler
from ..runtime.canon import TextDelta
from ..runtime.dialects.formats.chat_completions.quirks import Quirks
from ..runtime.dialects.formats.chat_completions.stream import Reader, Writer
from ..runtime.dialects.formats.messages.stream import Reader as MessagesReader

__all__ = ["main"]

_VENDORS: Final = 100
_MODELS: Final = 20
_FEWEST_MODELS: Final = 4
"""As many as it takes for the one that is asked for to be among them."""
_ROUTE: Final = Route(
    model="m3", input_tokens=100, output_tokens=100, deadline=1e6, begun=0.0, hedged=True, streamed=True
)
_CHUNK: Final = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
    b'{"content":" word"},"finish_reason":null}]}\n\n'
)
_OTHER_OPENING: Final = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant",'
    b'"model":"m","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
)
_OTHER_CHUNK: Final = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":" word"}}\n\n'
)


class _House:
    """A router and its vendors, handled by hand."""

    def __init__(self, policy: str, vendors: int, models: int) -> None:
        self._rng = random.Random(1)
        self._now = 1.0
        limits = LimitSpec(requests_per_minute=10**9, tokens_per_minute=10**12)
        names = [f"v{number}" for number in range(vendors)]
        selections = {
            f"m{model}": Selection(tuple([_candidate(name, model) for name in names]), policy)
            for model in range(models)
        }
        state = RouterState(vendors, POLICIES)
        deployments = [f"{name}/m{model}" for name in names for model in range(models)]
        state.rankings = Rankings({each: self._ranking() for each in deployments})
        state.loads = {each: Load(self._rng.randrange(5), 50.0) for each in deployments}
        mailbox = Mailbox[Any]("router")
        mailboxes = {name: Mailbox[Any](name) for name in names}
        self.router = Router(RoutingTable(selections, {}), state, mailbox, mailboxes, rng=self._rng)
        self._vendors: dict[str, Vendor] = {}
        for name in names:
            specs = [
                DeploymentSpec(name=f"{name}/m{model}", account=name, limits=limits)
                for model in range(models)
            ]
            vault = VendorState(VendorSpec(name=name, deployments=tuple(specs), account_limits=limits))
            self._vendors[name] = Vendor(vault, Mailbox[Any]("router"), rng=self._rng)

    def _ranking(self) -> Ranking:
        return Ranking(0.2 + self._rng.random(), 0.01, 0.01, (0.3, 0.4, 0.5, 0.6), 100)

    def decide(self) -> None:
        """One decision: from the route to the letter for the first vendor."""
        self.router.handle(_ROUTE, self._now)

    def lease(self) -> tuple[Vendor, Lease]:
        """A decision, and what it is granted: circuits, slots and buckets."""
        self._now += 1e-3
        forward = self.router.handle(_ROUTE, self._now)
        if not isinstance(forward, Forward):
            raise RuntimeError(f"no vendor was asked: {forward}")
        vendor = self._vendors[forward.to.name]
        lease = vendor.handle(forward.message, self._now)
        if not isinstance(lease, Lease):
            raise RuntimeError(f"no lease was granted: {lease}")
        return vendor, lease

    def attempt(self) -> None:
        """The same, and the settlement of an attempt that went well."""
        vendor, lease = self.lease()
        used = Used(100, 0, 90)
        vendor.handle(
            Settle(permit=lease.permit, deployment=lease.deployment, status=200, used=used), self._now
        )


def _candidate(vendor: str, model: int) -> Candidate:
    price = 1.0 + int(vendor[1:]) / 100
    return Candidate(
        deployment=f"{vendor}/m{model}",
        vendor=vendor,
        model=f"m{model}",
        input_price=price,
        output_price=2 * price,
    )


def _best(call: Callable[[], object], repetitions: int) -> float:
    """CPU microseconds of one call."""
    call()
    once = time.process_time
    begun = once()
    for _ in range(20):
        call()
    calls = max(10, min(5000, int(2e-3 / max(1e-7, (once() - begun) / 20))))
    least = math.inf
    for _ in range(repetitions):
        begun = once()
        for _ in range(calls):
            call()
        least = min(least, once() - begun)
    return least / calls * 1e6


# --- the pieces ---------------------------------------------------------------------------------


def _decisions(repetitions: int, models: int) -> Iterator[tuple[str, float]]:
    for policy in POLICIES:
        house = _House(policy, _VENDORS, models)
        yield f"decision, {_VENDORS} x {models}, {policy}", _best(house.decide, repetitions)
    for vendors in (2, 10, _VENDORS):
        house = _House("priority", vendors, models)
        yield f"decision and lease, {vendors} x {models}", _best(house.lease, repetitions)
        house = _House("priority", vendors, models)
        yield f"decision, lease and settlement, {vendors} x {models}", _best(house.attempt, repetitions)


def _chunks(repetitions: int) -> Iterator[tuple[str, float]]:
    reader, other = Reader(Quirks()), MessagesReader()
    writer = Writer(id="c", model="m", created=1, include_usage=False)
    assembler = Assembler()
    reader.feed(_CHUNK)
    other.feed(_OTHER_OPENING)
    event = TextDelta(" word", 0)
    writer.write(event)
    yield "chunk read (chat completions)", _best(lambda: reader.feed(_CHUNK), repetitions)
    yield "chunk read (messages)", _best(lambda: other.feed(_OTHER_CHUNK), repetitions)
    yield "chunk written (chat completions)", _best(lambda: writer.write(event), repetitions)
    yield "event taken into the whole answer", _best(lambda: Assembler.add(assembler, event), repetitions)


class _Echo:
    def handle(self, message: object, now: float) -> object:  # noqa: ARG002 - an actor's signature
        return message


async def _round_trip(repetitions: int) -> float:
    """CPU microseconds of one ask and its answer, both switches of tasks included."""
    mailbox = Mailbox[Any]("echo")
    least = math.inf
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, mailbox, _Echo())
        for _ in range(repetitions):
            begun = time.process_time()
            for _ in range(100):
                await mailbox.ask(Ask[Any]())
            least = min(least, time.process_time() - begun)
        nursery.cancel_scope.cancel()
    return least / 100 * 1e6


async def _yardsticks(repetitions: int) -> dict[str, float]:
    """What trio's own pieces cost here: measures of the machine."""
    return {
        "(trio: current_time)": _best(trio.current_time, repetitions),
    }


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--repetitions", type=int, default=200, help="short repetitions, of which the best counts"
    )
    parser.add_argument(
        "--models", type=int, default=_MODELS, help=f"models of each vendor, at least {_FEWEST_MODELS}"
    )
    chosen = parser.parse_args()
    repetitions: int = chosen.repetitions
    models = max(_FEWEST_MODELS, chosen.models)
    found = trio.run(_yardsticks, repetitions)
    found["ask and answer"] = trio.run(_round_trip, repetitions)
    for name, microseconds in found.items():
        print(f"{name:48} {microseconds:9.2f} µs CPU", flush=True)
    for name, microseconds in (*_decisions(repetitions, models), *_chunks(repetitions)):
        print(f"{name:48} {microseconds:9.2f} µs CPU", flush=True)


if __name__ == "__main__":
    main()

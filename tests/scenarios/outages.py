"""Vendors that fail: how soon they are left alone, what it costs the callers, and how they come back."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import trio
import trio.testing
from llm_dispatcher.actors.machines.breaker import Cause, State
from llm_dispatcher.benchmarks.vendor import Attempt, ConnectionRule, Delays, Limit, Quota, Script, Step, When

from .measure import Figures, logged, quantile
from .world import Call, World, hello, world

__all__ = [
    "a_slow_survivor",
    "cancelled_probe",
    "certificate_expired",
    "every_vendor_fails",
    "every_vendor_fails_late",
    "half_of_the_answers_fail",
    "limited",
    "long_streams_under_an_open_circuit",
    "no_names",
    "one_vendor_fails",
    "overloaded_then_well",
    "unreachable",
]

ROUND_TRIP = 0.05
"""Seconds that a vendor takes to fail, and to begin an answer."""
SOON = Delays(before_head=ROUND_TRIP)
WELL = Step(tokens=2, delay=SOON)
HEALTHY = Script(default=WELL)
FAILS = Step(error="server_error", delay=SOON)


def limited(a_minute: int, burst: int, steps: Sequence[Step] = ()) -> Script:
    """A vendor that keeps `burst + rate * seconds` for windows of three lengths. Its headers speak of the minute."""
    windows = [
        Limit(what="requests", most=burst + round(per * a_minute / 60), per=per) for per in (1.0, 10.0, 60.0)
    ]
    quota = Quota(limit=a_minute, remaining=a_minute, reset=0.0)
    return Script(
        default=Step(tokens=2, delay=SOON, quota={"requests": quota}), limits=windows, steps=list(steps)
    )


def success(calls: list[Call]) -> float:
    """The share of calls that were answered."""
    return sum([call.ok for call in calls]) / len(calls)


def asked(call: Call, vendor: str) -> int:
    """How often the vendor was asked for it."""
    return sum([each.vendor == vendor for each in call.attempts])


def _opened(here: World, vendor: str) -> float:
    """When the deployment or its endpoint was given up first."""
    endpoint = [each.at for each in here.state(vendor).endpoint.history if each.target is State.OPEN]
    return min(here.opened(vendor) + endpoint, default=float("inf"))


async def one_vendor_fails(script: Script, *, takes: float = ROUND_TRIP, streamed: bool = False) -> Figures:
    """Row 1. Fifty requests a second; the preferred vendor fails always, and `takes` so long to, the other one never.

    All that are under way at A when it falls out want a retry, which is far more than a tenth of the traffic where A takes
    long to fail: that the retries help is what pays for them.
    """
    figures, rate = Figures(), 50.0
    timeouts = {"first_token": takes} if streamed else {}
    async with world({"a": script, "b": HEALTHY}, timeouts=timeouts) as here:
        calls = await here.load(rate, takes + 10, streamed=streamed)
        opened = _opened(here, "a")
        before = sum([asked(call, "a") for call in calls if call.begun <= opened])
        added = quantile([call.ttft - ROUND_TRIP for call in calls if call.ok], 0.99)
        figures.at_least("success", success(calls), 0.999)
        figures.at_most("sent to A before opening", before, 5 + rate * takes)
        figures.at_most("added TTFT p99", round(added, 6), takes + 0.005, " s")
    return figures


async def a_slow_survivor() -> Figures:
    """Row 1. The vendor that is left takes three seconds to begin: as long as it is not known whether retries help they
    are paid for by the last minute's traffic, which here is a minute of twenty requests a second, answered by A."""
    figures, rate, fails = Figures(), 20.0, 60.0
    failing = Step(error="server_error", delay=Delays(before_head=5.0), times=100_000, when=When(from_=fails))
    slow = Script(default=Step(tokens=2, delay=Delays(before_head=3.0)))
    async with world({"a": Script(rules=[failing], default=WELL), "b": slow}) as here:
        calls = [call for call in await here.load(rate, fails + 10) if call.begun >= fails]
        figures.at_least("success", success(calls), 0.999)
        figures.at_least("retried", sum([len(call.attempts) > 1 for call in calls]), rate * 5)
    return figures


async def every_vendor_fails_late(takes: float) -> Figures:
    """Row 3. For a minute every answer is a 500, and `takes` so long: most of the retries are wanted before any circuit opens."""
    figures, rate, seconds = Figures(), 50.0, 60.0
    script = Script(default=Step(error="server_error", delay=Delays(before_head=takes)))
    async with world({"a": script, "b": script}) as here:
        calls = await here.load(rate, seconds, streamed=False)
        sent = here.attempts("a", until=seconds) + here.attempts("b", until=seconds)
        figures.at_most("amplification within the minute", sent / len(calls), 1.2)
        sent = here.attempts("a") + here.attempts("b")
        figures.at_most("amplification in all", sent / len(calls), 1.2)
        figures.exactly("answered", sum([call.ok for call in calls]), 0)
    return figures


async def half_of_the_answers_fail() -> Figures:
    """Row 2. Every second answer of A fails, so that there are never five failures in a row."""
    figures = Figures()
    odd = Script(rules=[FAILS_EVERY_SECOND], default=WELL)
    async with world({"a": odd, "b": HEALTHY}) as here:
        calls = await here.load(10, 40, streamed=False)
        first = here.breaker("a").history[0]
        figures.at_most("opened after", first.at, 30, " s")
        figures.exactly("by rate", first.cause is Cause.FAILURE_RATE, True)
        figures.exactly("client errors", sum([not call.ok for call in calls]), 0)
    return figures


FAILS_EVERY_SECOND = Step(
    error="server_error", delay=SOON, times=100_000, when=When(nth=list(range(1, 2000, 2)))
)


async def every_vendor_fails() -> Figures:
    """Row 3. For a minute every answer is a 500; twelve requests a second all the time."""
    figures, begins, ends, rate = Figures(), 5.0, 65.0, 12.0
    fails = Step(
        error="server_error",
        delay=Delays(before_head=0.01),
        times=100_000,
        when=When(from_=begins, until=ends),
    )
    script = Script(rules=[fails], default=WELL)
    async with world({"a": script, "b": script}) as here:
        calls = await here.load(rate, 78, streamed=False)
        sent = here.attempts("a", begins, ends) + here.attempts("b", begins, ends)
        meanwhile = [call for call in calls if begins <= call.begun < ends]
        figures.at_most("amplification", sent / len(meanwhile), 1.2)
        opened = max(_opened(here, "a"), _opened(here, "b"))
        late = [call.seconds for call in meanwhile if call.begun > opened and not call.ok]
        figures.at_most("errors once open, p99", quantile(late, 0.99), 0.05, " s")
        figures.at_most("errors once open, longest", max(late), 0.05, " s")
        failed = [call.begun for call in calls if call.begun >= ends and not call.ok]
        figures.at_most("recovery", max(failed, default=ends) - ends, 10, " s")
    return figures


async def overloaded_then_well() -> Figures:
    """Row 4. A says 529 for ten seconds and is well again."""
    figures, begins, heals = Figures(), 5.0, 15.0
    busy = Step(error="overloaded", delay=SOON, times=100_000, when=When(from_=begins, until=heals))
    weights: list[tuple[float, float]] = []
    async with world({"a": Script(rules=[busy], default=WELL), "b": HEALTHY}) as here:

        async def watch() -> None:
            while True:
                await trio.sleep(0.5)
                weights.append((trio.current_time(), here.breaker("a").weight(trio.current_time())))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            calls = await here.load(10, 70, streamed=False)
            nursery.cancel_scope.cancel()
        closed = [each.at for each in here.breaker("a").history if each.cause is Cause.PROBED]
        opened = here.opened("a")
        figures.at_least("openings", len(opened), 1)
        trials = [each for each in here.vendors["a"].history if opened[0] + ROUND_TRIP < each.at <= closed[0]]
        proven = min(each.finished_at or 0.0 for each in trials if each.status == 200)
        figures.exactly("probes at once before the first success", most_at_once(trials, proven), 1)
        figures.at_most("probes at once at all", most_at_once(trials), 4)
        full = min(at for at, weight in weights if at > closed[0] and weight == 1.0)
        figures.at_most("full weight after", full - heals, 60, " s")
        figures.at_least("success", success(calls), 0.999)
    return figures


def most_at_once(attempts: list[Attempt], until: float = float("inf")) -> int:
    """The most of these that were under way at one time before `until`."""
    begun = [each.at for each in attempts if each.at < until]
    return max(
        [sum([each.at <= at < (each.finished_at or at + 1) for each in attempts]) for at in begun], default=0
    )


async def unreachable(act: str) -> Figures:
    """Row 14. A does not let anybody connect."""
    figures = Figures()
    rule = ConnectionRule(act="refuse" if act == "refuse" else "drop")
    async with world({"a": Script(connections=[rule]), "b": HEALTHY}) as here:
        calls = [await here.call() for _ in range(10)]
        figures.at_least("success", success(calls), 1)
        most = 0.0 if act == "refuse" else 3.0
        figures.at_most("failover, longest", max(call.ttft for call in calls) - ROUND_TRIP, most + 1e-6, " s")
        if act != "refuse":
            # A timeout must not fire early either.
            figures.at_least("first failover", calls[0].ttft - ROUND_TRIP, 3.0 - 1e-6, " s")
        figures.at_most("dials of A", here.vendors["a"].turned_away, 5)
    return figures


async def no_names() -> Figures:
    """Row 15. For half a minute no name can be resolved: it is our own network that is down."""
    figures, begins, ends, rate = Figures(), 5.0, 35.0, 20.0
    script = Script(
        connections=[ConnectionRule(act="unresolved", window=When(from_=begins, until=ends))], default=WELL
    )
    # Nobody keeps a connection, so that every request has to look the name up.
    script = msgspec.structs.replace(script, default=msgspec.structs.replace(WELL, then="close"))
    async with world({"a": script, "b": script, "c": script}) as here:
        dials: list[float] = []
        dial = here.network.dial

        async def counted(host: str, port: int) -> trio.abc.Stream:
            dials.append(trio.current_time())
            return await dial(host, port)

        for transport in here.transports.values():
            transport._connector._dial = counted
        calls = await here.load(rate, 60, streamed=False)
        lost = [call for call in calls if not call.ok]
        codes = [call.error.code for call in lost if call.error is not None and not call.attempts]
        figures.exactly("circuits opened", sum([len(here.opened(name)) for name in "abc"]), 0)
        figures.exactly(
            "endpoints opened", sum([len(here.state(name).endpoint.history) for name in "abc"]), 0
        )
        figures.exactly(
            "refusals with another code than local_network",
            len([c for c in codes if c != "local_network"]),
            0,
        )
        figures.at_least("refused at once", len(codes) / len(lost), 0.95)
        figures.at_most("dials while down", len([at for at in dials if begins + 1 <= at < ends]), 3 * 6)
        figures.at_most("dials in the first second", len([at for at in dials if ends <= at < ends + 1]), rate)
        well = max(call.begun for call in lost)
        figures.at_most("recovery", well - ends, 10, " s")
        up = [at for at in dials if at >= well]
        figures.at_most(
            "dials in the second after contact", len([at for at in up if at < well + 1]), rate + 1
        )
    return figures


async def certificate_expired() -> Figures:
    """Row 16. A's certificate has expired."""
    figures = Figures()
    script = Script(connections=[ConnectionRule(act="untrusted")])
    async with world({"a": script, "b": HEALTHY}) as here:
        call = await here.call()
        figures.exactly("answered", call.ok, True)
        figures.exactly("asked of A", asked(call, "a"), 1)
        figures.exactly("class is tls", call.attempts[0].fault == "tls", True)
    with logged() as lines:
        async with world({"a": script}) as here:
            call = await here.call()
            figures.exactly("asked of A alone", asked(call, "a"), 1)
            for _ in range(20):
                await here.call()
            await trio.sleep(2)
    alerts = [line for line in lines if line["event"] == "the operator must act"]
    told = [(line["level"], line["vendor"], line["fault"]) for line in alerts]
    figures.exactly("told the operator once, as an error", told == [("error", "a", "tls")], True)
    figures.exactly(
        "with TLS's own reason", "certificate" in "".join([line["reason"] for line in alerts]), True
    )
    circuits = [line["who"] for line in lines if line["event"] == "circuit"]
    figures.at_least("and of the open circuit of its address", circuits.count("a"), 1)
    return figures


async def long_streams_under_an_open_circuit() -> Figures:
    """Row 42. Ten streams of three minutes run on at A, which fails everything else meanwhile."""
    figures, heals = Figures(), 200.0
    long = Step(tokens=180, delay=Delays(before_head=ROUND_TRIP, between=1.0), times=10)
    fails = Step(error="server_error", delay=SOON, times=100_000, when=When(until=heals))
    async with world({"a": Script(steps=[long], rules=[fails], default=WELL), "b": HEALTHY}) as here:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.together, [hello(user="long")] * 10)
            await trio.sleep(5)
            await here.load(2, 220, streamed=False)
        streams = [call for call in here.calls if call.request.user == "long"]
        history = here.breaker("a").history
        closings = [each for each in history if each.target is State.CLOSED]
        figures.exactly("long streams that ended well", sum([call.ok for call in streams]), 10)
        figures.exactly("ended at A", sum([asked(call, "a") for call in streams]), 10)
        figures.exactly("closed before A was well", len([each for each in closings if each.at < heals]), 0)
        figures.exactly("closed by its probes", [each.cause for each in closings] == [Cause.PROBED], True)
        figures.at_least("stragglers that moved nothing", here.breaker("a").stragglers, 10)
    return figures


async def cancelled_probe() -> Figures:
    """Row 43. The caller whose request is the probe leaves."""
    figures = Figures()
    steps = [Step(error="server_error", delay=SOON, times=5), Step(act="blackhole")]
    async with world({"a": Script(steps=steps, default=WELL), "b": HEALTHY}) as here:
        circuit = here.breaker("a")
        # More calls than failures: a vendor that fails is held back before its circuit opens.
        while circuit.state is not State.OPEN:
            await here.call()
        await trio.sleep_until(circuit.until)
        async with trio.open_nursery() as callers:
            # A circuit that is not closed is offered a tenth of the traffic.
            while not here.vendors["a"].meter.under_way:
                callers.start_soon(here.call)
                await trio.sleep(0.1)
            figures.exactly("probes out", circuit.statistics(trio.current_time()).probes_out, 1)
            callers.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        now = trio.current_time()
        figures.exactly("half open after the cancellation", circuit.state_at(now) is State.HALF_OPEN, True)
        figures.exactly("probes out after it", circuit.statistics(now).probes_out, 0)
        calls = await here.load(10, 10)
        figures.exactly(
            "closed by the next probes", circuit.state_at(trio.current_time()) is State.CLOSED, True
        )
        figures.exactly("client errors", sum([not call.ok for call in calls]), 0)
    return figures

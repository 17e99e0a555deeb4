"""Vendors that fail now and then, and nobody better to ask."""

from __future__ import annotations

from llm_dispatcher.benchmarks.vendor import Delays, Script, Step, Stop, When

from .measure import Figures, quantile
from .outages import success
from .world import world

__all__ = ["every_vendor_ails", "every_vendor_dies", "streams_break_early"]

_TAKES = Delays(before_head=0.3)
_WELL = Step(tokens=2, delay=_TAKES)


def _ailing(seed: int) -> Script:
    """Three answers in ten are 500, and so are seven in a row, once: enough for any circuit."""
    fails = Step(error="server_error", delay=_TAKES, chance=0.3, times=100_000)
    row = Step(error="server_error", delay=_TAKES, times=7, when=When(nth=list(range(60, 67))))
    return Script(seed=seed, rules=[row, fails], default=_WELL)


async def every_vendor_ails() -> Figures:
    """Both circuits open. Three attempts at vendors that fail three times in ten fail together in 2.7 % of requests."""
    figures, rate, seconds = Figures(), 50.0, 12.0
    scripts = {name: _ailing(number) for number, name in enumerate("ab")}
    async with world(scripts, policy="round_robin") as here:
        calls = await here.load(rate, seconds, streamed=False)
        figures.at_least("circuits opened", sum([bool(here.opened("a")), bool(here.opened("b"))]), 2)
        figures.exactly("refused without an attempt", sum([not call.attempts for call in calls]), 0)
        # The order in which tasks run differs: in six runs 0.952 to 0.962, and 1.41 to 1.43.
        figures.at_least("success", success(calls), 0.93)
        figures.at_most("attempts a request", (here.attempts("a") + here.attempts("b")) / len(calls), 1.55)
    return figures


async def every_vendor_dies() -> Figures:
    """Row 3. They have been well until then, and take two seconds to fail: soon nobody waits for them but single probes."""
    figures, rate, dies, takes, seconds = Figures(), 25.0, 5.0, 2.0, 30.0
    fails = Step(error="server_error", delay=Delays(before_head=takes), times=100_000, when=When(from_=dies))
    script = Script(rules=[fails], default=_WELL)
    async with world({"a": script, "b": script}, policy="round_robin") as here:
        calls = await here.load(rate, seconds, streamed=False)
        known = max(here.opened("a")[0], here.opened("b")[0]) + takes + 1
        later = [call for call in calls if call.begun >= known]
        sent = here.attempts("a", dies) + here.attempts("b", dies)
        figures.at_most("amplification", sent / len([call for call in calls if call.begun >= dies]), 1.2)
        figures.at_most("errors, p90", quantile([call.seconds for call in later], 0.9), 0.05, " s")
        probes = here.attempts("a", known) + here.attempts("b", known)
        figures.at_most("attempts a second", probes / (seconds - known), 2 / takes + 0.25)
    return figures


async def streams_break_early() -> Figures:
    """One stream in ten breaks at once, the others are whole after two seconds: the first ten that end are mostly broken."""
    figures, rate, seconds = Figures(), 20.0, 10.0
    breaks = Step(
        tokens=8,
        delay=Delays(between=0.25),
        stop=Stop(after_tokens=1, how="eof"),
        times=100_000,
        when=When(nth=list(range(5, 1000, 10))),
    )
    async with world(
        {"a": Script(rules=[breaks], default=Step(tokens=8, delay=Delays(between=0.25)))}
    ) as here:
        calls = await here.load(rate, seconds)
        figures.exactly("circuits opened", len(here.opened("a")), 0)
        figures.at_least("success", success(calls), 0.9)
    return figures

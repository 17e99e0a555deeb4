"""Vendors' limits: hints, quotas, days, keys and growth, and who gets what there is."""

from __future__ import annotations

import trio
from llm_dispatcher.benchmarks.vendor import Delays, Limit, Script, Step, When
from llm_dispatcher.runtime import Message, Request

from .clocks import wall_clock
from .measure import Figures
from .outages import HEALTHY, SOON, WELL, limited, success
from .world import WALL, Call, World, hello, world

__all__ = [
    "bad_key",
    "burst_of_a_hundred_tenants",
    "daily_limit",
    "exact_retry_after",
    "growth_after_a_failover",
    "hint_as_a_date",
    "no_credit",
    "open_at_once",
    "retry_after",
    "two_hints",
]

_PACIFIC_MIDNIGHT = 22 * 3600.0
"""Seconds from the beginning of a world, which is ten in the morning by UTC in winter, to the next one."""


def _gap(here: World, since: float) -> float:
    """Seconds from `since` to the next request that reaches A."""
    return (
        min([each.at for each in here.vendors["a"].history if each.at > since], default=float("inf")) - since
    )


async def retry_after() -> Figures:
    """Row 5. A's first answer is a 429 that asks for seven seconds."""
    figures = Figures()
    step = Step(error="rate_limited", retry_after=7, delay=SOON)
    async with world({"a": Script(steps=[step], default=WELL), "b": HEALTHY}) as here:
        calls = await here.load(20, 10, streamed=False)
        told = here.vendors["a"].history[0].finished_at or 0.0
        figures.between("until the next request at A", _gap(here, told), 7.0, 7.5, " s")
        figures.exactly("circuit openings", len(here.breaker("a").history), 0)
        figures.exactly("success", success(calls), 1)
        # But for the last few, for whom waiting is the shorter way.
        figures.at_least("spilled to B", here.attempts("b"), 6.5 * 20)
    return figures


async def hint_as_a_date(skew: float) -> Figures:
    """Row 6. A alone asks for thirty seconds, as a date; this machine's clock is wrong by `skew`."""
    figures = Figures()
    step = Step(error="rate_limited", retry_after=30, retry_style=["date"])
    with wall_clock(lambda: WALL + trio.current_time() + skew):
        async with world({"a": Script(steps=[step], default=WELL)}) as here:
            call = await here.call()
            figures.exactly("answered", call.ok, True)
            figures.between("until the next request at A", _gap(here, 0.0), 30.0, 30.5, " s")
    return figures


async def two_hints(first: float, second: float) -> Figures:
    """Row 7. Two requests are refused at about the same time, with different hints: the longer one counts."""
    figures = Figures()
    refusals = [
        Step(error="rate_limited", retry_after=hint, delay=Delays(before_head=0.1 * number))
        for number, hint in enumerate((first, second), 1)
    ]
    async with world({"a": Script(steps=refusals, default=WELL), "b": HEALTHY}) as here:
        await here.together([hello(), hello()])
        told = [each.finished_at or 0.0 for each in here.vendors["a"].history]
        calls = await here.load(10, 25, streamed=False)
        longest = max(at + hint for at, hint in zip(told, (first, second), strict=True))
        reached = [each.at for each in here.vendors["a"].history[2:]]
        figures.between("A rested beyond the longer hint by", min(reached) - longest, 0.0, 0.5, " s")
        figures.exactly("success", success(calls), 1)
    return figures


async def no_credit() -> Figures:
    """Row 8. A's account has no credit left."""
    figures = Figures()
    async with world({"a": Script(default=Step(error="insufficient_quota")), "b": HEALTHY}) as here:
        calls = await here.load(2, 60)
        standing = (await here.dispatcher.standing())["a"].deployments["a/m"]
        figures.exactly("attempts at A", here.attempts("a"), 1)
        figures.between("quarantined for", standing.closed_for + 60, 890, 910, " s")
        figures.exactly("circuit openings", len(here.breaker("a").history), 0)
        figures.exactly("success", success(calls), 1)
    return figures


async def daily_limit() -> Figures:
    """Row 9. A day's allowance is used up; the vendor suggests to come back in 36 seconds, and means midnight."""
    figures = Figures()
    spent = Step(error="gemini_per_day", retry_after=36, times=10_000, when=When(until=_PACIFIC_MIDNIGHT))
    async with world(
        {"a": Script(rules=[spent], default=WELL), "b": HEALTHY}, {"a": {"dialect": "google"}}
    ) as here:
        calls = await here.load(1 / 180, _PACIFIC_MIDNIGHT + 1200, streamed=False)
        tried = [each.at for each in here.vendors["a"].history]
        figures.exactly("attempts in the first 15 minutes", len([at for at in tried if at < 900]), 1)
        figures.between("first trial after", tried[1], 900, 1080, " s")
        figures.between("second trial after", tried[2] - tried[1], 1800, 1980, " s")
        figures.at_most("attempts before midnight", len([at for at in tried if at < _PACIFIC_MIDNIGHT]), 9)
        open_again = min([at for at in tried if at >= _PACIFIC_MIDNIGHT], default=float("inf"))
        figures.between("open again after midnight by", open_again - _PACIFIC_MIDNIGHT, 0, 180, " s")
        figures.exactly("success", success(calls), 1)
    return figures


async def growth_after_a_failover(*, complains: bool) -> Figures:
    """Row 10. A falls out, and B may grow from 60,000 input tokens a minute only; C takes what is too much for B.

    Six requests a second of 500 tokens each are three times that. With `complains`, B says `slow_down` at once.
    """
    figures, floor, failed_at = Figures(), 60_000, 20.0
    request = Request(model="m", messages=[Message("user", "x" * 2000)], max_tokens=10)
    fails = Step(error="server_error", delay=SOON, times=100_000, when=When(from_=failed_at))
    slow_down = [Step(error="slow_down", delay=SOON)] if complains else []
    recorded = Limit(what="input_tokens", most=10**9, per=60.0, scope="vendor")
    scripts = {
        "a": Script(rules=[fails], default=WELL),
        "b": Script(steps=slow_down, default=WELL, limits=[recorded]),
        "c": HEALTHY,
    }
    async with world(scripts, {"b": {"model": {"limits": {"ramp_floor": floor}}}}) as here:
        calls = await here.load(6, 120, lambda _: request, streamed=False)
        cap = floor / 2 if complains else floor
        # What a bucket of a minute's worth lets through in a minute: itself, and what flows in meanwhile.
        figures.at_most("most tokens in any minute at B", here.vendors["b"].limiter.peaks[0], 2 * cap)
        late = [each for each in here.vendors["b"].history if each.at >= failed_at + 60]
        rate = sum([each.input_tokens for each in late]) / (120 - failed_at - 60) * 60
        figures.at_most("tokens a minute at B after the first", rate, 1.25 * cap)
        figures.exactly("success", success(calls), 1)
        figures.at_least("spilled to C", here.attempts("c"), 200)
    return figures


async def bad_key(which: int) -> Figures:
    """Row 13. Of A's three keys one is refused."""
    figures = Figures()
    refused = Step(error="auth", times=1000, when=When(key=f"k{which}"))
    table = {"api_key": None, "api_keys": ["k1", "k2", "k3"]}
    async with world(
        {"a": Script(rules=[refused], default=WELL)}, {"a": table}, policy="round_robin"
    ) as here:
        calls = await here.load(10, 30, streamed=False)
        used = {key: totals.attempts for key, totals in here.vendors["a"].meter.by_key.items()}
        figures.exactly("client errors", sum([not call.ok for call in calls]), 0)
        figures.exactly("attempts with the bad key", used[f"k{which}"], 1)
        others = [used[f"k{number}"] for number in (1, 2, 3) if number != which]
        figures.at_least("attempts with each of the others", min(others), 100)
    return figures


async def open_at_once() -> Figures:
    """A takes eight calls at once, which nobody has told us, and says so when there are more; twice as many come."""
    figures, most, stay, seconds = Figures(), 8, 10.0, 200.0
    step = Step(tokens=5, delay=Delays(first_event=0.3, between=stay / 5))
    script = Script(default=step, limits=[Limit(what="concurrency", most=most, scope="vendor")])
    async with world({"a": script}, {"a": {"dialect": "anthropic"}}) as here:
        # All of these are refused or wait in line until they are out of time.
        calls = await here.load(1.6, seconds, lambda _: hello(timeout=60))
        late = [each for each in here.vendors["a"].history if seconds / 2 <= each.at < seconds]
        refused = sum([each.outcome == "refused" for each in late])
        figures.between("limit found", here.state("a").deployments["a/m"].own.most_at_once, most, most + 1)
        figures.at_most("refusals in the second half", refused, 4)
        figures.at_least("used of what A takes", (len(late) - refused) / (most / stay * seconds / 2), 0.9)
        told = [call for call in calls if call.error is not None and call.attempts]
        figures.at_most("callers who were told of a refusal", len(told) / len(calls), 0.05)
        figures.exactly("circuit openings", len(here.breaker("a").history), 0)
    return figures


# --- who gets what there is ---------------------------------------------------------------------

_A_MINUTE = 600
_BURST = 60


async def burst_of_a_hundred_tenants() -> Figures:
    """Row 44. Ninety-nine tenants with two requests under way at any time, and one with a hundred and fifty.

    Who is refused comes back when told to. Each request costs a whole turn, so that shares can be told apart soon.
    """
    figures, begins, seconds = Figures(), 10.0, 120.0
    served: dict[str, int] = {}
    limits = {"limits": {"requests_per_minute": _A_MINUTE, "burst": _BURST / _A_MINUTE}}
    async with world({"a": limited(_A_MINUTE, _BURST)}, {"a": limits}) as here:

        async def caller(tenant: str) -> None:
            while True:
                call = await here.call(_dear(tenant), streamed=False)
                if call.ok and call.ended is not None and call.ended >= begins:
                    # Before that it was the burst, which is there for whoever comes first.
                    served[tenant] = served.get(tenant, 0) + 1
                elif call.error is not None:
                    await trio.sleep(call.error.retry_after or 1.0)

        async with trio.open_nursery() as nursery:
            for _ in range(150):
                nursery.start_soon(caller, "greedy")
            for number in range(99):
                nursery.start_soon(caller, f"tenant {number}")
                nursery.start_soon(caller, f"tenant {number}")
            await trio.sleep(begins + seconds)
            nursery.cancel_scope.cancel()
        shares = [served.get(f"tenant {number}", 0) for number in range(99)] + [served.get("greedy", 0)]
        fair = sum(shares) / 100
        figures.exactly("429 of the vendor's", here.vendors["a"].limiter.violated, 0)
        figures.at_least("served", sum(shares), 0.99 * _A_MINUTE / 60 * seconds)
        figures.between("least share / fair share", min(shares) / fair, 0.9, 1.1)
        figures.between("largest share / fair share", max(shares) / fair, 0.9, 1.1)
        figures.at_least("Jain's index", jain(shares), 0.9)
    return figures


def _dear(tenant: str) -> Request:
    return hello(user=tenant, max_tokens=8000)


def jain(shares: list[int]) -> float:
    """Jain's index of fairness: 1 if all are equal, 1/n if one has everything (R. Jain and others, DEC-TR-301, 1984)."""
    return sum(shares) ** 2 / (len(shares) * sum([each * each for each in shares]))


async def exact_retry_after() -> Figures:
    """Row 44. Ten times the limit at once, with thirty seconds' patience: who cannot be served is told when to come back."""
    figures = Figures()
    limits = {"limits": {"requests_per_minute": 60, "burst": 0.1}}
    async with world({"a": limited(60, 6)}, {"a": limits}) as here:
        again: list[Call] = []

        async def comes_back(call: Call) -> None:
            await trio.sleep(0.0 if call.error is None else call.error.retry_after or 0.0)
            again.append(await here.call(call.request, streamed=False))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.together, [hello(user="many", timeout=30)] * 600)
            await trio.sleep(1)
            refused = [call for call in here.calls if call.ended is not None and not call.ok]
            nursery.start_soon(comes_back, refused[0])
        served = [call for call in here.calls if call.ok]
        known = [call.error.retry_after is not None for call in refused if call.error]
        figures.exactly("429 of the vendor's", here.vendors["a"].limiter.violated, 0)
        figures.between("served of the burst", len(served) - len(again), 34, 37)
        figures.at_most("refused after", max(call.seconds for call in refused), 0.001, " s")
        figures.exactly("refused without Retry-After", len(known) - sum(known), 0)
        figures.exactly("who came back was served", again[0].ok, True)
    return figures

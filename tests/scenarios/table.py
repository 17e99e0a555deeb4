"""The table: numbers and expectations are those of the specification."""

from __future__ import annotations

from functools import partial

from llm_dispatcher.actors.router import Router
from llm_dispatcher.actors.stats import Stats
from llm_dispatcher.benchmarks.vendor import ConnectionRule, Delays, Script, Step, Stop

from . import ailing, answers, clients, clocks, crashes, crowds, limits, outages, probes, streams
from .measure import Case, Row

__all__ = ["ROWS"]

_BUSY = Script(default=Step(error="overloaded", delay=outages.SOON))
_HANGS = Script(default=Step(act="blackhole"))
_DROPS = Script(connections=[ConnectionRule(act="drop")])
_REFUSES = Script(connections=[ConnectionRule(act="refuse", delay=outages.ROUND_TRIP)])


def _after(seconds: float) -> Script:
    return Script(default=Step(error="server_error", delay=Delays(before_head=seconds)))


ROWS: tuple[Row, ...] = (
    Row(
        "1",
        "A fails always, B is healthy",
        "success >= 99.9 %; at most 5 and those under way reach A before it opens; added TTFT p99 < a failed round trip",
        (
            Case(partial(outages.one_vendor_fails, Script(default=outages.FAILS)), "500", slow=True),
            Case(partial(outages.one_vendor_fails, _BUSY), "529", slow=True),
            Case(partial(outages.one_vendor_fails, _REFUSES), "refused", slow=True),
            Case(partial(outages.one_vendor_fails, _after(5.0), takes=5.0), "500 after 5 s", slow=True),
            Case(partial(outages.one_vendor_fails, _after(30.0), takes=30.0), "500 after 30 s", slow=True),
            Case(partial(outages.one_vendor_fails, _HANGS, takes=10.0, streamed=True), "timeouts", slow=True),
            Case(partial(outages.one_vendor_fails, _DROPS, takes=3.0), "connections swallowed", slow=True),
            Case(outages.a_slow_survivor, "500 after 5 s, and B takes 3 s to begin", slow=True),
        ),
    ),
    Row(
        "2",
        "half of A's answers are 500",
        "opens by rate within 30 s; no client errors",
        (Case(outages.half_of_the_answers_fail, slow=True),),
    ),
    Row(
        "3",
        "all vendors 500 for 60 s",
        "amplification <= 1.2; errors within 50 ms once open; recovery <= 10 s after healing",
        (
            Case(outages.every_vendor_fails, slow=True),
            Case(partial(outages.every_vendor_fails_late, 5.0), "after 5 s, at 50 a second", slow=True),
            Case(partial(outages.every_vendor_fails_late, 30.0), "after 30 s, at 50 a second", slow=True),
            Case(ailing.every_vendor_dies, "after 2 s, from one moment to the next", slow=True),
        ),
    ),
    Row(
        "4",
        "A 529, then well again",
        "half open by one probe; full weight within 60 s",
        (Case(outages.overloaded_then_well, slow=True),),
    ),
    Row(
        "5",
        "429 with Retry-After: 7",
        "nothing is sent to A for 7 s; its circuit stays closed; B takes over",
        (Case(limits.retry_after, slow=True),),
    ),
    Row(
        "6",
        "429 with a date; our own clock is an hour off",
        "waits for what the vendor meant",
        (
            Case(partial(limits.hint_as_a_date, 3600.0), "fast"),
            Case(partial(limits.hint_as_a_date, -3600.0), "slow"),
        ),
    ),
    Row(
        "7",
        "two 429s with hints of 1 s and 20 s",
        "20 s holds",
        (
            Case(partial(limits.two_hints, 1.0, 20.0), "the longer last", slow=True),
            Case(partial(limits.two_hints, 20.0, 1.0), "the longer first", slow=True),
        ),
    ),
    Row(
        "8",
        "insufficient_quota",
        "one attempt; the account is quarantined; no retry",
        (Case(limits.no_credit, slow=True),),
    ),
    Row(
        "9",
        "Gemini's daily limit with RetryInfo 36 s",
        "closed for the day, with single trials from 15 minutes on",
        (Case(limits.daily_limit, slow=True),),
    ),
    Row(
        "10",
        "a failover hands B three times what it may take",
        "growth within the cap; the rest goes elsewhere",
        (
            Case(partial(limits.growth_after_a_failover, complains=False), slow=True),
            Case(partial(limits.growth_after_a_failover, complains=True), "B says slow_down", slow=True),
        ),
    ),
    Row(
        "11",
        "400, 422",
        "one attempt, passed on, the circuit unmoved",
        (
            Case(partial(answers.callers_mistake, 400), "400"),
            Case(partial(answers.callers_mistake, 422), "422"),
        ),
    ),
    Row(
        "12",
        "too long for A; B's window is larger",
        "one hop to B; without B a 400",
        (Case(answers.too_long_for_one),),
    ),
    Row(
        "13",
        "401 on one key of three",
        "only that key is out; no client errors",
        (
            Case(partial(limits.bad_key, 1), "the first", slow=True),
            Case(partial(limits.bad_key, 2), "the second", slow=True),
        ),
    ),
    Row(
        "14",
        "connections refused, or swallowed",
        "failover within the connect timeout (3 s)",
        (
            Case(partial(outages.unreachable, "refuse"), "refused"),
            Case(partial(outages.unreachable, "drop"), "blackhole"),
        ),
    ),
    Row(
        "15",
        "no name can be resolved, of any vendor",
        "circuits frozen; the error is `local_network`; no storm on return",
        (Case(outages.no_names, slow=True),),
    ),
    Row(
        "16",
        "A's certificate has expired",
        "failover; A is not asked again for the same request; the operator is told, once",
        (Case(outages.certificate_expired),),
    ),
    Row(
        "17",
        "kept connections are closed between requests",
        "100 % success, no retry used",
        (
            Case(partial(answers.connection_closed_between, keep_alive=None), "after each answer"),
            Case(partial(answers.connection_closed_between, keep_alive=1.0), "after a second"),
        ),
    ),
    Row(
        "18",
        "headers, then silence",
        "given up at the limit, B answers; A's spend is unknown",
        (
            Case(partial(streams.silent_at_first, Step(delay=Delays(first_event=1000))), "headers only"),
            Case(partial(streams.silent_at_first, Step(act="blackhole")), "not even headers"),
        ),
    ),
    Row(
        "19",
        "pings, and no content",
        "as 18",
        (Case(partial(streams.silent_at_first, Step(pings=10_000, delay=Delays(between=0.5)))),),
    ),
    Row(
        "20",
        "a stall after 50 tokens",
        "an error event at the limit, no [DONE]; the spend is 50 tokens and the input",
        (Case(streams.stalls),),
    ),
    Row(
        "21",
        "a stream ends without its terminal event",
        "never shown as complete; truncated",
        (
            Case(partial(streams.breaks_off, stop=Stop(after_tokens=3, how="end")), "well framed"),
            Case(partial(streams.breaks_off, stop=Stop(after_tokens=3, how="eof")), "cut"),
            Case(partial(streams.breaks_off, omit=["finish", "usage", "terminal"]), "after its last token"),
        ),
    ),
    Row(
        "22",
        "a reset within an event, half a character",
        "as 21; nothing partial is passed on",
        (
            Case(
                partial(streams.breaks_off, stop=Stop(after_tokens=3, how="reset", where="mid_event")),
                "reset",
            ),
            Case(
                partial(streams.breaks_off, stop=Stop(after_tokens=3, where="mid_character")),
                "half a character",
            ),
        ),
    ),
    Row(
        "23",
        "an overload is reported within the stream, before content",
        "B answers, and nobody notices",
        (Case(partial(streams.error_in_the_stream, after=0)),),
    ),
    Row(
        "24",
        "the same after content",
        "one error event",
        (Case(partial(streams.error_in_the_stream, after=5)),),
    ),
    Row(
        "25",
        "what comes cannot be read",
        "B answers; the memory stays flat",
        (
            Case(partial(answers.unreadable, True, spoil="malformed_json"), "no JSON in a stream"),
            Case(partial(answers.unreadable, False, spoil="malformed_json"), "no JSON"),
            Case(partial(answers.unreadable, True, spoil="html"), "a web page for a stream"),
            Case(partial(answers.unreadable, False, spoil="html"), "a web page"),
            Case(partial(answers.unreadable, True, spoil="bad_chunk_size"), "bad chunk size"),
        ),
    ),
    Row(
        "26",
        "10 GiB without an end",
        "oversized, and broken off at the limit; meanwhile 2 MiB at most, but for a body within its limit",
        (
            Case(partial(streams.without_end, True, spoil="endless_line"), "a line"),
            Case(partial(streams.without_end, False, most=66.0, spoil="huge_body"), "a body", slow=True),
            Case(
                partial(streams.without_end, True, fails_over=False, spoil="huge_body"),
                "sound events",
                slow=True,
            ),
            Case(
                partial(streams.without_end, False, spoil="huge_head", spoil_bytes=2**18),
                "a header of 256 KiB",
            ),
        ),
    ),
    Row(
        "27",
        "a drip",
        "cut at the least pace",
        (
            Case(partial(streams.slow_drip, Step(drip=1.0), cut_after=60.0), "a byte a second"),
            Case(
                partial(streams.slow_drip, Step(tokens=1000, delay=Delays(between=8.0)), cut_after=60.0),
                "a token in 8 seconds",
            ),
        ),
    ),
    Row(
        "28",
        "200, and nothing in it",
        "B answers",
        (
            Case(partial(answers.empty_answer, True, tokens=0), "a stream"),
            Case(partial(answers.empty_answer, False, tokens=0), "an answer"),
            Case(partial(answers.empty_answer, True, spoil="empty"), "no body, streamed"),
            Case(partial(answers.empty_answer, False, spoil="empty"), "no body"),
        ),
    ),
    Row(
        "29",
        "a client leaves at its k-th event, for all k",
        "the vendor's connection is closed within a second; spend = meter where it is known, covered else; no leak",
        (
            Case(partial(clients.client_leaves, "library", streamed=True), "library, streamed", slow=True),
            Case(partial(clients.client_leaves, "library", streamed=False), "library, plain"),
            Case(partial(clients.client_leaves, "gateway", streamed=True), "gateway, streamed", slow=True),
            Case(partial(clients.client_leaves, "gateway", streamed=False), "gateway, plain", slow=True),
            Case(
                partial(clients.client_leaves, "gateway", streamed=True, drained=True),
                "the vendor is read to the end",
                slow=True,
            ),
        ),
    ),
    Row(
        "30",
        "clients that stop reading",
        "at most 128 KiB each; others' p99 within 10 %; the vendor is not blamed",
        (
            Case(partial(clients.clients_stop_reading, 100), "100", slow=True),
            Case(partial(clients.clients_stop_reading, 1000), "1,000", slow=True, full=True),
        ),
    ),
    Row(
        "31",
        "slowloris",
        "healthy requests unaffected; connections and files bounded",
        (
            Case(partial(clients.slow_heads, 300, 100), "300 for 100 places", slow=True),
            Case(partial(clients.slow_heads, 5000, 1000), "5,000 for 1,000 places", slow=True, full=True),
        ),
    ),
    Row(
        "32",
        "a vendor's actor crashes over each n-th message",
        "streams unharmed; the rate is never exceeded; nothing hangs",
        (
            Case(partial(crashes.gate_crashes, 5), "5th", slow=True),
            Case(partial(crashes.gate_crashes, 23), "23rd", slow=True),
            Case(partial(crashes.gate_crashes, 101), "101st", slow=True),
        ),
    ),
    Row(
        "33",
        "a vendor's actor crashes always",
        "quarantined after 5 restarts; other vendors unaffected",
        (Case(crashes.gate_crashes_always, slow=True),),
    ),
    Row(
        "34",
        "router, statistics or accept loop crash",
        "at most 100 ms of outage; streams go on",
        (
            Case(partial(crashes.actor_crashes_once, Router), "router", slow=True),
            Case(partial(crashes.actor_crashes_once, Stats), "statistics", slow=True),
            Case(crashes.accepting_fails, "accept loop"),
        ),
    ),
    Row(
        "41",
        "the wall clock jumps; the loop stands still; the machine sleeps",
        "no burst over the limit; no circuit opens; no timeout is held against a vendor",
        (
            Case(partial(clocks.wall_clock_jumps, 3600.0), "an hour on", slow=True),
            Case(partial(clocks.wall_clock_jumps, -3600.0), "an hour back", slow=True),
            Case(partial(clocks.standing_still, 10.0), "stands still for 10 s", slow=True),
            Case(clocks.asleep, "asleep for 8 hours", slow=True),
        ),
    ),
    Row(
        "42",
        "a circuit opens while streams of 3 minutes end well",
        "stays open until its own probe succeeds",
        (Case(outages.long_streams_under_an_open_circuit, slow=True),),
    ),
    Row(
        "43",
        "a probe is cancelled by its caller",
        "its permit comes back; the next probe runs",
        (Case(outages.cancelled_probe, slow=True),),
    ),
    Row(
        "44",
        "ten times the limit at once; 100 tenants, one of them greedy",
        "fair shares within 10 %; no 429 of the vendor's; exact Retry-After",
        (
            Case(limits.burst_of_a_hundred_tenants, "shares", slow=True),
            Case(limits.exact_retry_after, "Retry-After", slow=True),
        ),
    ),
    Row(
        "45",
        "a hedge and the slow one answer together",
        "one answer; the loser is cancelled; both are booked",
        (
            Case(partial(crowds.hedge_race, streamed=True), "streamed", slow=True),
            Case(partial(crowds.hedge_race, streamed=False), "plain", slow=True),
        ),
    ),
    Row(
        "46",
        "many streams at once, one attempt in twenty goes wrong",
        "each ends once, in time, whole or told not to be; the money is covered; memory stays; no step keeps the loop for 20 ms",
        (
            Case(partial(crowds.many_streams, 500), "500 for a minute", slow=True),
            Case(
                partial(crowds.many_streams_on_sockets, 1000, 30.0),
                "twice 1,000 on sockets",
                "real",
                slow=True,
                full=True,
            ),
        ),
    ),
    Row(
        "chance",
        "vendors refuse by chance, and do not say for how long",
        "client success >= 0.99: no limit is found where there is none",
        (
            Case(partial(crowds.refused_by_chance, "overloaded", 0.1), "overloaded, 10 %", slow=True),
            Case(partial(crowds.refused_by_chance, "rate_limited", 0.1), "rate limited, 10 %", slow=True),
            Case(partial(crowds.refused_by_chance, "concurrency_limited", 0.05), "too many, 5 %", slow=True),
        ),
    ),
    Row(
        "ailing",
        "vendors fail by chance, and there is nobody better",
        "nobody is refused unasked; client success as three attempts allow",
        (
            Case(ailing.every_vendor_ails, "both answer three in ten with 500", slow=True),
            Case(ailing.streams_break_early, "one stream in ten breaks at its beginning", slow=True),
        ),
    ),
    Row(
        "at once",
        "a vendor takes eight calls at once",
        "the limit is found and kept to",
        (Case(limits.open_at_once, slow=True),),
    ),
    Row(
        "delays",
        "the same vendor is asked again 400 times",
        "the waits are spread evenly over 0 to 0.25 s",
        (Case(probes.retry_delays, slow=True),),
    ),
    Row(
        "balance",
        "six equal vendors, a hundred requests a second",
        "most / mean in flight <= 1.5",
        (Case(probes.balance, slow=True),),
    ),
    Row(
        "timeouts",
        "every limit, in several lengths, runs out",
        "never early; at most 250 ms late",
        (Case(probes.no_timeout_fires_early),),
    ),
    Row(
        "connections",
        "all our own connections to a vendor are in use, and more requests wait for one",
        "none of that time is the vendor's: no timeout, no slow call, no attempt that took longer",
        (
            Case(partial(probes.own_connections_run_out, True), "streamed"),
            Case(partial(probes.own_connections_run_out, False), "plain"),
        ),
    ),
    Row(
        "latency",
        "clients of the gateway hang up, on real sockets",
        "the vendor's connection is closed within a second (p99)",
        (Case(partial(probes.cancellation_latency, 100), "", "real", slow=True),),
    ),
    Row(
        "counters",
        "six hundred requests of all kinds",
        "what `GET /v1/stats` counts is what happened",
        (Case(probes.counters, slow=True),),
    ),
)
"""In the order of their numbers; the probes come last."""

"""The table: numbers and expectations are those of the specification."""

from __future__ import annotations

from functools import partial

from llm_dispatcher.benchmarks.vendor import ConnectionRule, Delays, Script, Step, Stop

from . import answers, limits, outages, streams
from .measure import Case, Row

__all__ = ["ROWS"]

_BUSY = Script(default=Step(error="overloaded", delay=outages.SOON))
_REFUSES = Script(connections=[ConnectionRule(act="refuse", delay=outages.ROUND_TRIP)])

ROWS: tuple[Row, ...] = (
    Row(
        "1",
        "A fails always, B is healthy",
        "success >= 99.9 %; at most 5 and those under way reach A before it opens; added TTFT p99 < a failed round trip",
        (
            Case(partial(outages.one_vendor_fails, Script(default=outages.FAILS)), "500", slow=True),
            Case(partial(outages.one_vendor_fails, _BUSY), "529", slow=True),
            Case(partial(outages.one_vendor_fails, _REFUSES), "refused", slow=True),
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
        (Case(outages.every_vendor_fails, slow=True),),
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
        "a failover hands B four times what it may grow by",
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
        "failover; A is not asked again for the same request",
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
        "B answers",
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
        "broken off at the limit; at most 2 MiB are kept",
        (
            Case(partial(streams.without_end, True, spoil="endless_line"), "a line"),
            Case(partial(streams.without_end, False, spoil="huge_body"), "a body", slow=True),
            Case(
                partial(streams.without_end, True, fails_over=False, spoil="huge_body"),
                "sound events",
                slow=True,
            ),
            Case(partial(streams.without_end, False, kind="malformed", spoil="huge_head"), "a header"),
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
)
"""In the order of their numbers; the probes come last."""

"""The table: numbers and expectations are those of the specification."""

from __future__ import annotations

from functools import partial

from llm_dispatcher.benchmarks.vendor import ConnectionRule, Script, Step

from . import outages
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
)
"""In the order of their numbers; the probes come last."""

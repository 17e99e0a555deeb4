"""A vendor that does what it is told: over real sockets, or over streams in memory in virtual time.

It is an oracle and a saboteur. It keeps its own books of every token it has sent and its own exact rate limits, by code that
shares nothing with the dispatcher's, so that "spend equals meter" and "no limit was exceeded" can be checked; and
it fails in every way in which vendors fail, as a script says, and repeats it exactly for the same seed. ::

    vendor = ScriptedVendor(Script(steps=[Step(error="overloaded")]))
    async with trio.open_nursery() as nursery:
        port = await nursery.start(vendor.listen)
        ...                                    # the first attempt is refused, the others are answered
        assert vendor.meter.total.output_tokens == ...

A tour, in the order in which a request meets the parts:

- `script` is the data, and the documentation, of what can be made to happen; `loading` reads it; `selection` picks
  the step for an attempt; `chance` draws what is left to chance;
- `connection` takes requests from a stream, `vendor` takes them in, `limits` admits them, `plan` makes the answer
  (with `formats`, the vendors' own spelling, and `spoil`, its faults), and `playing` writes it, each byte at its time;
- `meter` books it. `control` shows the books over HTTP.

`server` is the door for sockets, `memory` a network within one process. `llm-dispatcher simulate-vendor` starts one.
"""

from .formats import FORMATS
from .limits import Limiter, Violation
from .loading import ScriptError, builtin_names, load, parse
from .memory import MemoryNetwork, MemoryStream, memory_pair
from .meter import Attempt, Meter, Totals
from .script import (
    Billing,
    ConnectionRule,
    Delays,
    ErrorEvent,
    Limit,
    Quota,
    Script,
    Step,
    Stop,
    When,
)
from .vendor import ScriptedVendor, VendorStatistics

__all__ = [
    "FORMATS",
    "Attempt",
    "Billing",
    "ConnectionRule",
    "Delays",
    "ErrorEvent",
    "Limit",
    "Limiter",
    "MemoryNetwork",
    "MemoryStream",
    "Meter",
    "Quota",
    "Script",
    "ScriptError",
    "ScriptedVendor",
    "Step",
    "Stop",
    "Totals",
    "VendorStatistics",
    "Violation",
    "When",
    "builtin_names",
    "load",
    "memory_pair",
    "parse",
]

"""What those who share limits and whoever keeps them say to one another: plain data, to be sent as it is.

A *pool* is one limit that several holders share; its key is a name such as `requests of openai/gpt-4o`. A *slice* is what a
holder has been lent of it. The holder reports what it spent and what it lacks (`Report`), the keeper answers with what it
lends (`Answer`). Durations are told, never times: the clocks of two processes have nothing in common.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

__all__ = ["TERM", "Answer", "Claim", "Entry", "Heard", "Report", "Terms"]

TERM: Final = 4.0
"""Seconds for which a holder may spend its slices after it sent the last report that was answered."""


class Terms(Struct, frozen=True, array_like=True):
    """A pool as its holders know it: an `Amount`, and how it learns (see `LearnedLimit`).

    `slots`: no limit by time, but `most` places, which come back when they are given back.
    """

    most: float
    period: float = 60.0
    burst: float = 1.0
    least: float = 0.0
    configured: bool = True
    share: float = 1.0
    steady: bool = False
    slots: bool = False


class Heard(Struct, frozen=True, array_like=True):
    """What a vendor's answer said of a limit (see `Remaining`). `age`: seconds since its header came; `trouble`: since the
    vendor last refused something, infinite if it never did."""

    limit: float | None
    remaining: float | None
    reset: float | None
    age: float
    trouble: float = math.inf


class Entry(Struct, frozen=True, array_like=True):
    """What became of one slice since the last report.

    `spent` of it; `delay`: seconds from now at which the last of that may start; `returned` unspent; `charged`: found out later, beyond what
    was held; `unlent`: spent of the holder's own share, while no word came from the keeper. `refunds`: the number of
    the report in which it was spent, and how much of that comes back.
    """

    spent: float = 0.0
    delay: float = 0.0
    returned: float = 0.0
    charged: float = 0.0
    unlent: float = 0.0
    refunds: tuple[tuple[int, float], ...] = ()
    heard: Heard | None = None


class Claim(Struct, frozen=True, array_like=True):
    """What one request lacks, in every pool at once: lent together or not at all."""

    number: int
    amounts: Mapping[str, float]


class Report(Struct, frozen=True, tag=True, kw_only=True):
    """A holder's word: what it spent, and what it lacks.

    `era`: of the slices it speaks of (see `QuotaBook`). `claims`: all that are open, those of before included. `wants`: what it would like to
    have beside, so as not to come back for every request.
    """

    era: int
    number: int
    entries: Mapping[str, Entry] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    wants: Mapping[str, float] = field(default_factory=dict)


class Answer(Struct, frozen=True, tag=True, kw_only=True):
    """The keeper's word.

    `number`: the last report it has read. `lent`: added to the slices. `granted`: claims that were met. `waits`: seconds until a claim can be met,
    as far as is known. `limits`: rate and burst of pools that have changed; `closed`: seconds until a pool opens again. `recalled`:
    pools of which everything that is not needed at this moment is wanted back.
    """

    era: int
    number: int
    lent: Mapping[str, float] = field(default_factory=dict)
    granted: tuple[int, ...] = ()
    waits: Mapping[int, float] = field(default_factory=dict)
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    closed: Mapping[str, float] = field(default_factory=dict)
    recalled: tuple[str, ...] = ()

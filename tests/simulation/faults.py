"""Ways in which a vendor of the simulation fails: the faults of real vendors, as steps and connection rules of its script.

Each takes a generator for its details. `PASSING` faults hit any attempt now and then and leave nothing behind;
`OUTAGES` last for a window; `CLOSING` ones close a key or a model for longer than a simulated world lasts.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from llm_dispatcher.benchmarks.vendor import ConnectionRule, Delays, ErrorEvent, Step, Stop
from llm_dispatcher.benchmarks.vendor.chance import Spread

__all__ = ["CLOSING", "CONNECTIONS", "OUTAGES", "PASSING"]

Make: TypeAlias = Callable[[random.Random], dict[str, Any]]
"""The fields of a `Step` but for its window and chance."""


def _hint(kind: str) -> Make:
    return lambda rng: {
        "error": kind,
        "retry_after": round(rng.uniform(0.5, 9), 2),
        "retry_style": rng.choice([None, ["seconds"], ["date"], ["ms"], ["body"]]),
        "date_skew": rng.choice([0.0, 0.0, 3600.0, -3600.0]),
    }


def _error(kind: str, **more: Any) -> Make:
    return lambda rng: {"error": kind, "delay": Delays(before_head=round(rng.uniform(0, 0.5), 3)), **more}


def _stop(how: str, most: int = 12) -> Make:
    return lambda rng: {
        "stop": Stop(
            after_tokens=rng.randint(0, most),
            how=how,  # type: ignore[arg-type]  # one of the four, by the table below
            where=rng.choice(["boundary", "mid_event", "mid_character"]),
        )
    }


def _error_event(kind: str, first: int, last: int) -> Make:
    return lambda rng: {
        "error_event": ErrorEvent(kind=kind, after_tokens=rng.randint(first, last))  # type: ignore[arg-type]
    }


PASSING: Final[Mapping[str, Make]] = {
    "server error": _error("server_error"),
    "bad gateway, billed": _error("bad_gateway", bill="generated"),
    "gateway timeout, billed": _error("gateway_timeout", bill="generated"),
    "request timeout": _error("timeout"),
    "overloaded": _error("overloaded"),
    "unavailable": _hint("unavailable"),
    "rate limited": _hint("rate_limited"),
    "slow down": _hint("slow_down"),
    "bad request": _error("bad_request"),
    "invalid parameter": _error("invalid_parameter"),
    "context length": _error("context_length"),
    "content refused": _error("refused"),
    "closed unanswered": lambda rng: {"act": "close"},
    "reset unanswered": lambda rng: {"act": "reset"},
    "blackhole": lambda rng: {"act": "blackhole"},
    "pings only": lambda rng: {"pings": 500, "delay": Delays(between=round(rng.uniform(0.3, 1), 2))},
    "late": lambda rng: {"delay": Delays(first_event=round(rng.uniform(2, 30), 1))},
    "slow": lambda rng: {"delay": Delays(between=round(rng.uniform(0.2, 2), 2))},
    "stalls": _stop("stall"),
    "ends early": _stop("end"),
    "eof": _stop("eof"),
    "reset": _stop("reset"),
    "error first": _error_event("overloaded", 0, 0),
    "error within": _error_event("server_error", 1, 10),
    "html": lambda rng: {"spoil": "html"},
    "empty": lambda rng: {"spoil": "empty"},
    "malformed": lambda rng: {"spoil": "malformed_json", "spoil_after": rng.randint(0, 3)},
    "bad chunk": lambda rng: {"spoil": "bad_chunk_size", "spoil_after": rng.randint(0, 3)},
    "endless line": lambda rng: {"spoil": "endless_line", "times": 2},
    "huge head": lambda rng: {"spoil": "huge_head", "spoil_bytes": 200_000, "times": 5},
    "no end": lambda rng: {"omit": ["terminal"]},
    "no usage": lambda rng: {"omit": ["usage"]},
    "drips": lambda rng: {"drip": float(rng.choice([20, 100, 500]))},
    "closes after": lambda rng: {"then": rng.choice(["close", "reset"])},
    "framed by close": lambda rng: {"framing": "close"},
    "empty events": lambda rng: {"empty_events": rng.randint(1, 5)},
    "sliced": lambda rng: {"slice": rng.randint(1, 40)},
}

OUTAGES: Final[Mapping[str, Make]] = {
    "server error": _error("server_error"),
    "overloaded": _error("overloaded"),
    "rate limited": _hint("rate_limited"),
    "blackhole": lambda rng: {"act": "blackhole"},
    "reset unanswered": lambda rng: {"act": "reset"},
    "late": lambda rng: {"delay": Delays(first_event=Spread(uniform=(5, 30)))},
    "stalls": _stop("stall"),
    "eof": _stop("eof"),
    "html": lambda rng: {"spoil": "html"},
    "error first": _error_event("overloaded", 0, 0),
}

CLOSING: Final[Mapping[str, Make]] = {
    "quota spent": _error("insufficient_quota"),
    "key refused": _error("auth"),
    "not allowed": _error("permission"),
    "no such model": _error("no_model"),
    "day's limit": lambda rng: {"error": "gemini_per_day", "retry_after": 20.0, "retry_style": ["body"]},
}

CONNECTIONS: Final[Mapping[str, Callable[[random.Random], dict[str, Any]]]] = {
    "refused": lambda rng: {"act": "refuse"},
    "reset": lambda rng: {"act": "reset"},
    "swallowed": lambda rng: {"act": "blackhole"},
    "dropped": lambda rng: {"act": "drop"},
    "no such name": lambda rng: {"act": "unresolved"},
    "certificate expired": lambda rng: {"act": "untrusted"},
    "slow": lambda rng: {"act": "accept", "delay": round(rng.uniform(0.01, 0.08), 3)},
}


def step(faults: Mapping[str, Make], name: str, rng: random.Random, **more: Any) -> Step:
    """A step of the script, called after its fault."""
    return Step(name=name, **faults[name](rng), **more)


def rule(name: str, rng: random.Random, **more: Any) -> ConnectionRule:
    """A rule for connections."""
    return ConnectionRule(**CONNECTIONS[name](rng), **more)

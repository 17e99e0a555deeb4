"""What limits an account or a deployment, and what a request costs in each dimension: data and arithmetic.

A request is *reserved* before it is sent, by what is expected of it, and *settled* when it has ended, by what
it used. Vendors count differently, so one formula is wrong for somebody: a row of `LIMIT_MODELS` says how one
of them counts. What a vendor's documentation leaves open is counted the dearer way.

| row | tokens a minute, together | output reserved | cached input | unused comes back | limits refill |
|---|---|---|---|---|---|
| `openai` | the larger of input and bound | the bound | counts | no | steadily |
| `azure` | input and output | the bound | counts | no | once a minute |
| `anthropic` | input and output | what is expected | does not | yes | steadily |
| `gemini` | input | - | counts | yes | once a minute |
| `groq` | input and output | what is expected | does not | yes | steadily |
| `default` | input and output | what is expected | counts | yes | once a minute |

OpenAI ("Rate limits") counts the larger of `max_tokens` and its own estimate of the prompt, and Azure ("Understanding
rate limits") prompt and `max_tokens`, both when the request arrives; neither gives anything back when the answer turns
out shorter. Anthropic ("Rate limits") counts output as it is made, whatever `max_tokens` says, does not count what the
prompt cache had, and refills its buckets all the time. Gemini limits input tokens only; Groq leaves out cached ones.

A request that a vendor refused counts as a request with every vendor: OpenAI says so, and of the others
none says otherwise. Of tokens it has used none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from .machines.headroom import Amount
from .messages import Used

__all__ = [
    "LIMIT_MODELS",
    "SHARE",
    "Amount",
    "Demand",
    "LimitModel",
    "LimitSpec",
    "limits_of",
    "reserved",
    "settled",
]

SHARE: Final = 0.95
"""How much of a limit is used when others use it too: the rest is room for what they sent a moment ago."""

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_DAY: Final = 86_400.0


class LimitSpec(Struct, frozen=True, kw_only=True):
    """What may pass: requests, tokens and dollars by time, and calls at once. None: no limit.

    Tokens are limited either together, or input and output each; all that are given hold.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    requests_per_day: int | None = None
    dollars_per_hour: float | None = None
    concurrent: int | None = None
    adaptive: bool = False
    """Whether the number of calls at once also learns from overload: down to one, never above `concurrent`."""
    burst: float = 0.1
    """The share of a minute's requests that may start at once. Of the rest, a whole minute's (day's, hour's) may."""
    strict: bool = False
    """Requests reserve the most that they may use, and not what is expected: see `Demand.strict`."""
    shared: bool = False
    """Somebody else uses the account too: only 95 % of the vendor's limits are used."""
    ramp_floor: int | None = None
    """Input tokens per minute above which traffic grows by `ramp_growth` per quarter of an hour at most. None: such a cap
    only exists for a while after the vendor has complained of too quick a growth."""
    ramp_growth: float = 1.5


class Demand(Struct, frozen=True, gc=False):
    """What one request asks of the limits, before it is sent: estimates, and the most that may come back.

    `strict` reserves the most, so that nothing can come out dearer than reserved but for the estimate of the input.
    """

    requests: float = 1.0
    input: float = 0.0
    output_expected: float = 0.0
    output_most: float = 0.0
    dollars: float = 0.0
    strict: bool = False


class LimitModel(Struct, frozen=True, kw_only=True):
    """How a vendor counts. See the module's docstring, which has the table."""

    together: Literal["sum", "larger", "input"] = "sum"
    """What counts against a limit on tokens together."""
    reserves: Literal["expected", "most"] = "expected"
    """The output that is counted before there is any."""
    counts_cached: bool = True
    """Whether input that the vendor's prompt cache had counts."""
    refunds: bool = True
    """Whether tokens reserved and not used come back."""
    steady: bool = False
    """Refilled all the time, so that something is left again long before the limit is full. Otherwise: all at once, at
    the reset that the vendor names."""
    ramp_floor: int | None = None
    """The `LimitSpec.ramp_floor` that the vendor advises, where it does."""


LIMIT_MODELS: Final[Mapping[str, LimitModel]] = MappingProxyType(
    {
        "openai": LimitModel(
            together="larger", reserves="most", refunds=False, steady=True, ramp_floor=1_000_000
        ),
        "azure": LimitModel(reserves="most", refunds=False),
        "anthropic": LimitModel(counts_cached=False, steady=True),
        "gemini": LimitModel(together="input"),
        "groq": LimitModel(counts_cached=False, steady=True),
        "default": LimitModel(),
    }
)


Dimension: TypeAlias = Literal[
    "requests", "requests_per_day", "tokens", "input_tokens", "output_tokens", "dollars"
]
_TOKENS: Final = frozenset({"tokens", "input_tokens", "output_tokens"})


def limits_of(spec: LimitSpec) -> dict[str, Amount]:
    """The limits of `spec` by dimension, in the order in which buckets are asked; those it does not have are absent."""
    share = SHARE if spec.shared else 1.0
    given = {
        "requests": (spec.requests_per_minute, share),
        "tokens": (spec.tokens_per_minute, share),
        "input_tokens": (spec.input_tokens_per_minute, share),
        "output_tokens": (spec.output_tokens_per_minute, share),
        "requests_per_day": (spec.requests_per_day, share),
        # The house's own limit, which nobody else uses up.
        "dollars": (spec.dollars_per_hour, 1.0),
    }
    return {
        dimension: amount_of(dimension, most * part, spec.burst)
        for dimension, (most, part) in given.items()
        if most
    }


def amount_of(dimension: str, most: float, burst: float) -> Amount:
    """`most` in the shape that `dimension` has: its period, and what may start at once."""
    match dimension:
        case "requests":
            return Amount(most, _MINUTE, burst, 1.0)
        case "requests_per_day":
            return Amount(most, _DAY, 1.0, 1.0)
        case "dollars":
            return Amount(most, _HOUR)
        case _:
            return Amount(most, _MINUTE)


# --- what a request costs -----------------------------------------------------------------------


def reserved(dimension: str, model: LimitModel) -> Callable[[Demand], float]:
    """The function from a demand to what is reserved of `dimension`. A KeyError if there is no such dimension."""
    if dimension == "tokens":
        return _together(model)
    if dimension == "output_tokens":
        return _most_output if model.reserves == "most" else _output
    return _PLAIN[dimension]


def settled(dimension: str, model: LimitModel) -> Callable[[Used], float] | None:
    """The function from what was used to what counts of `dimension`; None where what was reserved stands."""
    if dimension == "dollars":
        return _dollars_used
    if dimension == "output_tokens":
        return _output_used
    if dimension == "input_tokens" or (dimension == "tokens" and model.together == "input"):
        return _input_used if model.counts_cached else _uncached_used
    if dimension == "tokens":
        return _all_used if model.counts_cached else _all_uncached_used
    return None


def gives_back(dimension: str, model: LimitModel) -> bool:
    """Whether what was reserved of `dimension` and not used comes back."""
    return model.refunds or dimension not in _TOKENS


def _together(model: LimitModel) -> Callable[[Demand], float]:
    if model.together == "input":
        return _input
    most = model.reserves == "most"
    if model.together == "larger":
        return _larger
    return _input_and_most if most else _input_and_output


def _requests(demand: Demand) -> float:
    return demand.requests


def _input(demand: Demand) -> float:
    return demand.input


def _dollars(demand: Demand) -> float:
    return demand.dollars


def _most_output(demand: Demand) -> float:
    return demand.output_most


def _output(demand: Demand) -> float:
    return demand.output_most if demand.strict else min(demand.output_expected, demand.output_most)


def _input_and_output(demand: Demand) -> float:
    return demand.input + _output(demand)


def _input_and_most(demand: Demand) -> float:
    return demand.input + demand.output_most


def _larger(demand: Demand) -> float:
    # Strict means that nothing comes out dearer, whatever the vendor's documentation says of its counting.
    if demand.strict:
        return demand.input + demand.output_most
    return max(demand.input, demand.output_most)


_PLAIN: Final[Mapping[str, Callable[[Demand], float]]] = MappingProxyType(
    {
        "requests": _requests,
        "requests_per_day": _requests,
        "input_tokens": _input,
        "dollars": _dollars,
    }
)


def _input_used(used: Used) -> float:
    return float(used.input_tokens)


def _uncached_used(used: Used) -> float:
    return float(max(0, used.input_tokens - used.cached_tokens))


def _output_used(used: Used) -> float:
    return float(used.output_tokens)


def _all_used(used: Used) -> float:
    return float(used.input_tokens + used.output_tokens)


def _all_uncached_used(used: Used) -> float:
    return _uncached_used(used) + used.output_tokens


def _dollars_used(used: Used) -> float:
    return used.dollars if 0 <= used.dollars < math.inf else 0.0

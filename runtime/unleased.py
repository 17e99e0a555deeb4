"""Why a request got no lease, as the error that its caller meets."""

from __future__ import annotations

import math
from typing import Final

from ..actors.faults import FaultClass
from ..actors.messages import Cause, NoLease
from .canon import Fault, Request
from .errors import DispatchError, NoVendor, UnknownModel, error_for

__all__ = ["unleased"]

_PASSING: Final = frozenset({Cause.LIMITED, Cause.COOLING, Cause.FULL, Cause.CROWDED, Cause.UNSUITED})
"""Causes that say that there is too much to do: the caller is told 429, and to come back."""


def unleased(request: Request, answer: NoLease, now: float) -> DispatchError:
    """The error for a request that nobody has been asked to serve."""
    if not answer.known:
        named = request.model if request.mode is None else f"{request.model} ({request.mode})"
        return UnknownModel(
            f"no vendor, route or mode serves the model {named!r}",
            kind=FaultClass.BAD_REQUEST,
            status=404,
            code="model_not_found",
            param="model",
        )
    reasons = "; ".join([f"{each.deployment}: {each.cause.value}" for each in answer.refused])
    causes = {each.cause for each in answer.refused}
    if causes and causes <= {Cause.UNSUITED}:
        message = f"no deployment of {request.model!r} can serve this request: {reasons}"
        return error_for(
            Fault(kind=FaultClass.BAD_REQUEST, message=message, code="no_suitable_deployment"), ()
        )
    wait = answer.retry_at - now
    if causes == {Cause.NETWORK}:
        return NoVendor(
            "this machine's own network seems to be down: no vendor could be reached",
            code="local_network",
            status=503,
            retry_after=max(0.0, wait),
        )
    limited = bool(causes) and causes <= _PASSING
    return NoVendor(
        f"no vendor can take the request now: {reasons or 'none is configured for it'}",
        code="rate_limited" if limited else "no_vendor_available",
        status=429 if limited else 503,
        retry_after=max(0.0, wait) if math.isfinite(wait) else None,
    )

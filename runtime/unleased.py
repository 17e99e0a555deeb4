"""Why a request got no lease, as the error that its caller meets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from ..actors.faults import FaultClass
from ..actors.messages import Cause, NoLease, Refused
from .canon import Fault
from .deployment import Deployment
from .errors import DispatchError, NoVendor, RequestRejected, UnknownModel, error_for
from .operations import operation_of
from .operations.base import Work

__all__ = ["unleased"]

_PASSING: Final = frozenset({Cause.LIMITED, Cause.COOLING, Cause.FULL, Cause.CROWDED, Cause.UNSUITED})
"""Causes that say that there is too much to do: the caller is told 429, and to come back."""

_MOST_LISTED: Final = 8
"""Names of models that an error lists at most."""


def unleased(
    request: Work, answer: NoLease, now: float, deployments: Mapping[str, Deployment]
) -> DispatchError:
    """The error for a request that nobody has been asked to serve. `deployments`: all of the house's, by name."""
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
        if not _does_it(request, answer.refused, deployments):
            return _wrong_operation(request, deployments)
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


def _does_it(request: Work, refused: Sequence[Refused], deployments: Mapping[str, Deployment]) -> bool:
    """Whether any of these does the kind of work at all that is asked for."""
    name = operation_of(request).name
    return any(
        each.deployment not in deployments or name in deployments[each.deployment].model.does
        for each in refused
    )


def _wrong_operation(request: Work, deployments: Mapping[str, Deployment]) -> DispatchError:
    operation = operation_of(request)
    able = sorted({each.model.name for each in deployments.values() if operation.name in each.model.does})
    listed = ", ".join(able[:_MOST_LISTED]) + (", ..." if len(able) > _MOST_LISTED else "")
    return RequestRejected(
        f"the model {request.model!r} does not do {operation.described}; "
        + (f"these do: {listed}" if able else "no model that is served does"),
        kind=FaultClass.BAD_REQUEST,
        status=400,
        code="unsupported_operation",
        param="model",
    )

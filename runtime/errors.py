"""The errors a caller meets. ::

    DispatchError
    |- RequestRejected     yours: the request cannot be served as it is
    |   |- UnknownModel        nobody serves that name
    |   |- ContentRefused      the vendor declined for the content's sake
    |- CallerGone          yours: the caller left before the answer was complete
    |- VendorFailed        theirs: a vendor failed, and no other could take over
    |   |- RateLimited         the vendor's limit; see `retry_after`
    |   |- Overloaded
    |   |- Unauthorized        our key was refused, or its credit is spent
    |   |- ModelUnavailable    it does not serve the model to our key, or not in that region
    |   |- Unreachable         no connection, no TLS
    |   |- TimedOut            no content, or none any more, in time
    |   |- ProtocolError       what it sent cannot be understood
    |   |- StreamTruncated     it ended, or failed, after content had been delivered
    |- HouseRefused        ours
        |- NoVendor            every vendor that could is closed, limited or full at the moment
        |- DeadlinePassed
        |- Busy                more requests under way than configured
        |- Shed                the process is overloaded, and the request's class can best wait
        |- Stopping            the daemon is being stopped

Every error says which attempts were made (`attempts`), of which class the last fault was (`kind`), whose
fault it was (`blame`), and when to try again, if that is known (`retry_after`, seconds). `status` is the
HTTP status that the gateway answers with, by the table `STATUS`.
"""

from __future__ import annotations

from typing import Final

from ..actors.faults import CONSEQUENCES, Blame, FaultClass
from .canon import Fault
from .reply import AttemptRecord

__all__ = [
    "STATUS",
    "Busy",
    "CallerGone",
    "ContentRefused",
    "DeadlinePassed",
    "DispatchError",
    "HouseRefused",
    "ModelUnavailable",
    "NoVendor",
    "Overloaded",
    "ProtocolError",
    "RateLimited",
    "RequestRejected",
    "Shed",
    "Stopping",
    "StreamTruncated",
    "TimedOut",
    "Unauthorized",
    "UnknownModel",
    "Unreachable",
    "VendorFailed",
    "error_for",
]


class DispatchError(Exception):
    """Anything that keeps a request from its answer. See the module's docstring."""

    type: str = "api_error"
    """As in OpenAI's error envelope."""

    def __init__(
        self,
        message: str,
        *,
        kind: FaultClass = FaultClass.LOCAL,
        attempts: tuple[AttemptRecord, ...] = (),
        retry_after: float | None = None,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.attempts = attempts
        self.retry_after = retry_after
        self.status = status if status is not None else STATUS[kind]
        self.code = code or kind.value
        self.param = param

    @property
    def blame(self) -> Blame:
        """Whose fault it was."""
        return CONSEQUENCES[self.kind].fault

    @property
    def vendor(self) -> str | None:
        """The vendor of the last attempt, or None when there was none."""
        return self.attempts[-1].vendor if self.attempts else None


class RequestRejected(DispatchError):
    """The request cannot be served as it is; sending it again will not help."""

    type = "invalid_request_error"


class UnknownModel(RequestRejected):
    """No vendor, route or mode has that name."""


class ContentRefused(RequestRejected):
    """The vendor declined to answer for the content's sake."""


class CallerGone(DispatchError):
    """The caller left, or was cancelled, before the answer was complete: only logs and statistics meet it."""


class VendorFailed(DispatchError):
    """A vendor failed, and no other could take over."""


class RateLimited(VendorFailed):
    """The vendor's rate limit, or its daily limit, is reached."""

    type = "rate_limit_error"


class Overloaded(VendorFailed):
    """The vendor says that it has too much to do."""


class Unauthorized(VendorFailed):
    """The vendor refused our key, or the account's credit is spent: the operator must act."""


class ModelUnavailable(VendorFailed):
    """The vendor does not serve the model, or not to our key or from that region: the operator must act."""


class Unreachable(VendorFailed):
    """No connection to the vendor."""


class TimedOut(VendorFailed):
    """The vendor sent no content in time."""


class ProtocolError(VendorFailed):
    """The vendor sent something that cannot be understood, or nothing at all."""


class StreamTruncated(VendorFailed):
    """The stream broke after content had been delivered. What was delivered is not a whole answer."""


class HouseRefused(DispatchError):
    """The dispatcher itself declined."""


class NoVendor(HouseRefused):
    """Every vendor that could serve the request is closed, limited or full at the moment."""


class DeadlinePassed(HouseRefused):
    """The request's deadline came before its answer."""


class Busy(HouseRefused):
    """More requests are under way than the configuration allows."""


class Shed(HouseRefused):
    """The process is short of time or memory, and requests of this class are the ones that wait."""


class Stopping(HouseRefused):
    """The daemon is being stopped, and the request was still running when its patience ended."""


STATUS: Final[dict[FaultClass, int]] = {kind: row.http for kind, row in CONSEQUENCES.items()}
"""The HTTP status by class of fault. A vendor's refusal of our key is not the caller's 401: it is a bad gateway."""

_ERRORS: Final[dict[FaultClass, type[DispatchError]]] = {
    FaultClass.BAD_REQUEST: RequestRejected,
    FaultClass.CONTEXT_LENGTH: RequestRejected,
    FaultClass.TOO_LARGE: RequestRejected,
    FaultClass.AUTH: Unauthorized,
    FaultClass.NO_MODEL: ModelUnavailable,
    FaultClass.QUOTA_EXHAUSTED: Unauthorized,
    FaultClass.RATE_LIMITED: RateLimited,
    FaultClass.CONCURRENCY_LIMITED: RateLimited,
    FaultClass.DAILY_LIMIT: RateLimited,
    FaultClass.RAMP_LIMITED: RateLimited,
    FaultClass.OVERLOADED: Overloaded,
    FaultClass.SERVER_ERROR: VendorFailed,
    FaultClass.TIMEOUT_409: VendorFailed,
    FaultClass.REFUSED: ContentRefused,
    FaultClass.CONNECT: Unreachable,
    FaultClass.TLS: Unreachable,
    FaultClass.STALE_CONNECTION: Unreachable,
    FaultClass.NOT_PROCESSED: Unreachable,
    FaultClass.TTFT_TIMEOUT: TimedOut,
    FaultClass.STALLED: TimedOut,
    FaultClass.TRUNCATED: ProtocolError,
    FaultClass.IN_STREAM_ERROR: VendorFailed,
    FaultClass.MALFORMED: ProtocolError,
    FaultClass.OVERSIZED: ProtocolError,
    FaultClass.SLOW_DRIP: TimedOut,
    FaultClass.EMPTY_OK: ProtocolError,
    FaultClass.CLIENT_GONE: CallerGone,
    FaultClass.LOCAL: HouseRefused,
}


_PASSED_ON: Final = frozenset({400, 413, 415, 422})
"""Statuses of a vendor that mean the same between us and the caller."""


def error_for(fault: Fault, attempts: tuple[AttemptRecord, ...], *, committed: bool = False) -> DispatchError:
    """The error for the fault that ended a request. `committed`: content had been delivered before it."""
    vendor = attempts[-1].vendor if attempts else None
    message = f"{vendor}: {fault.message}" if vendor else fault.message
    if len(attempts) > 1:
        message += f" (after {len(attempts)} attempts)"
    kind = StreamTruncated if committed else _ERRORS[fault.kind]
    yours = CONSEQUENCES[fault.kind].fault is Blame.CALLER
    return kind(
        message,
        kind=fault.kind,
        attempts=attempts,
        retry_after=fault.closed_for,
        status=fault.status if yours and fault.status in _PASSED_ON else None,
        code="upstream_interrupted" if committed else fault.code if yours else None,
        param=fault.param,
    )

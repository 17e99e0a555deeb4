"""Every class of fault becomes an error that says whose fault it was, what was tried, and when to come back."""

from __future__ import annotations

import pytest
from llm_dispatcher.actors.faults import CONSEQUENCES, Blame, FaultClass
from llm_dispatcher.runtime import errors
from llm_dispatcher.runtime.canon import Fault
from llm_dispatcher.runtime.errors import DispatchError, error_for
from llm_dispatcher.runtime.gateway.failures import failure_of, headers_of
from llm_dispatcher.runtime.reply import AttemptRecord

ATTEMPTS = (
    AttemptRecord(vendor="acme", deployment="acme/small", fault="overloaded", message="busy", seconds=0.25),
    AttemptRecord(vendor="zeta", deployment="zeta/small", fault="rate_limited", message="slow down"),
)


def error_of(kind: FaultClass, *, committed: bool = False, retry_after: float | None = 7.5) -> DispatchError:
    return error_for(Fault(kind=kind, message="no", retry_after=retry_after), ATTEMPTS, committed=committed)


@pytest.mark.parametrize("kind", FaultClass)
@pytest.mark.parametrize("committed", [False, True])
def test_every_error_says_whose_fault_which_attempts_and_when_to_come_back(
    kind: FaultClass, committed: bool
) -> None:
    error = error_of(kind, committed=committed)
    told = failure_of(error).record
    assert told is not None
    assert told["class"] == kind.value
    assert told["blame"] == CONSEQUENCES[kind].fault.value
    assert told["retry_after"] == 7.5
    assert [each["deployment"] for each in told["attempts"]] == ["acme/small", "zeta/small"]
    assert [each["class"] for each in told["attempts"]] == ["overloaded", "rate_limited"]
    assert error.message == "zeta: no (after 2 attempts)"
    assert error.vendor == told["vendor"] == "zeta"
    assert error.status == CONSEQUENCES[kind].http
    assert dict(headers_of(error))[b"retry-after"] == b"8"


@pytest.mark.parametrize("kind", FaultClass)
def test_the_type_of_an_error_tells_whose_fault_it_was(kind: FaultClass) -> None:
    error = error_of(kind)
    if error.blame is Blame.CALLER:
        assert isinstance(error, errors.RequestRejected | errors.CallerGone)
    elif kind is FaultClass.LOCAL:
        assert isinstance(error, errors.HouseRefused)
    else:
        assert isinstance(error, errors.VendorFailed)


def test_without_a_known_time_an_sdk_is_told_not_to_repeat_what_was_repeated() -> None:
    headers = dict(headers_of(error_of(FaultClass.SERVER_ERROR, retry_after=None)))
    assert b"retry-after" not in headers
    assert headers[b"x-should-retry"] == b"false"


def test_a_daily_limit_sends_the_caller_away_for_the_rest_of_the_day_and_not_for_the_hint() -> None:
    fault = Fault(kind=FaultClass.DAILY_LIMIT, message="enough", retry_after=18.0, day_ends_in=3600.0)
    assert error_for(fault, ATTEMPTS).retry_after == 3600.0


@pytest.mark.parametrize(
    ("kind", "theirs", "ours"),
    [
        (FaultClass.BAD_REQUEST, 422, 422),
        (FaultClass.BAD_REQUEST, 404, 400),
        (FaultClass.TOO_LARGE, 429, 413),
        (FaultClass.AUTH, 401, 502),
    ],
)
def test_a_vendors_status_is_passed_on_only_where_it_means_the_same_to_the_caller(
    kind: FaultClass, theirs: int, ours: int
) -> None:
    assert error_for(Fault(kind=kind, message="no", status=theirs), ATTEMPTS).status == ours

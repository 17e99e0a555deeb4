"""From a refusal to its class: ordered tables of rules, and the status where no rule fits.

A `Rule` is a row of data: on these statuses, if the vendor's words (code, type, reason) or its message are
such, the class is that. The tables stand in `spellings`, one file for each family of vendors; their rows go from the
particular to the general, and the first that fits counts. Evidence counts in this order:

1. what happened on the wire: decided before any answer is read, in `runtime.attempt`;
2. the status: a rule only holds for its statuses, and the status alone decides where no rule fits. A 5xx is a
   failing vendor whatever its text says, unless a rule names that status;
3. the vendor's own words for programs;
4. the message, for people: vendors change it without notice. `Fault.by` says which of these decided, so that
   the statistics can count how much hangs on a message.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Container, Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from ...actors.faults import FaultClass
from ..canon import Fault
from .base import Answer
from .days import Day, until_midnight
from .error_text import ErrorText, read_error, read_object
from .hints import in_words, named_reset, now_of, retry_after, should_retry

__all__ = [
    "ANY",
    "REFUSALS",
    "ErrorText",
    "Recognised",
    "Rule",
    "by_status",
    "fault_of",
    "in_stream",
    "read_error",
    "recognise",
    "request_id",
]

REFUSALS: Final = range(400, 500)
ANY: Final = range(400, 600)
_DAY_LONG: Final = 86_400.0

_BY_STATUS: Final[dict[int, FaultClass]] = {
    401: FaultClass.AUTH,
    402: FaultClass.QUOTA_EXHAUSTED,
    403: FaultClass.AUTH,
    404: FaultClass.NO_MODEL,
    408: FaultClass.TIMEOUT_409,
    409: FaultClass.TIMEOUT_409,
    413: FaultClass.TOO_LARGE,
    424: FaultClass.SERVER_ERROR,
    429: FaultClass.RATE_LIMITED,
    503: FaultClass.OVERLOADED,
    529: FaultClass.OVERLOADED,
}

_STATUS_OF: Final[dict[str, int]] = {
    "invalid_request_error": 400,
    "BadRequestError": 400,
    "validationException": 400,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "authentication_error": 401,
    "UNAUTHENTICATED": 401,
    "billing_error": 402,
    "permission_error": 403,
    "PERMISSION_DENIED": 403,
    "not_found_error": 404,
    "NOT_FOUND": 404,
    "modelTimeoutException": 408,
    "ABORTED": 409,
    "request_too_large": 413,
    "modelStreamErrorException": 424,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "rate_limited": 429,
    "too_many_requests_error": 429,
    "throttlingException": 429,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "api_error": 500,
    "server_error": 500,
    "internal_server_error": 500,
    "internalServerException": 500,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "service_unavailable": 503,
    "serviceUnavailableException": 503,
    "UNAVAILABLE": 503,
    "timeout_error": 504,
    "DEADLINE_EXCEEDED": 504,
    "overloaded_error": 529,
}
"""The status that a vendor would have sent with a word, for errors within an answer of status 200."""

_REQUEST_IDS: Final = ("x-request-id", "request-id", "apim-request-id", "x-ms-request-id", "x-amzn-requestid")
_AWS_TYPE: Final = "x-amzn-errortype"


class Rule(Struct, frozen=True, kw_only=True):
    """One row: a refusal with one of `statuses`, one of `words` and a `message` like this is of class `kind`.

    `words` may hold wildcards; none of them, or no `message`, means that it does not matter. `said_by`: who says
    it so. `elsewhere`: the request is refused for what this vendor or model lacks, so another may take it. `day`:
    whose midnight ends a daily limit.
    """

    kind: FaultClass
    said_by: str
    statuses: Container[int] = REFUSALS
    words: tuple[str, ...] = ()
    message: re.Pattern[str] | None = None
    elsewhere: bool = False
    day: Day = "UTC"

    def word_in(self, words: Sequence[str]) -> str | None:
        """The first of `words` that is one of the rule's."""
        for pattern in self.words:
            if "*" in pattern:
                found = next((word for word in words if fnmatch.fnmatchcase(word, pattern)), None)
                if found is not None:
                    return found
            elif pattern in words:
                return pattern
        return None

    def fits(self, status: int | None, error: ErrorText) -> bool:
        """Whether this is the case. Without a status, only rules by word can be."""
        if status is None:
            if not self.words:
                return False
        elif status not in self.statuses:
            return False
        if self.words and self.word_in(error.words) is None:
            return False
        return self.message is None or self.message.search(error.message) is not None


class Recognised(Struct, frozen=True):
    """A class, the kind of evidence that decided, the rule (None: the status alone), and why, in words."""

    kind: FaultClass
    by: Literal["status", "code", "message"]
    rule: Rule | None
    because: str


def by_status(status: int) -> FaultClass:
    """The class that a status stands for when nothing else is known."""
    found = _BY_STATUS.get(status)
    if found is not None:
        return found
    return FaultClass.BAD_REQUEST if 400 <= status < 500 else FaultClass.SERVER_ERROR


def recognise(rules: Sequence[Rule], status: int, error: ErrorText) -> Recognised:
    """The class of a refusal, by the first rule that fits, else by its status."""
    rule = _first(rules, status, error)
    if rule is None:
        return Recognised(by_status(status), "status", None, f"status {status}")
    return _by_rule(rule, status, error)


def _first(rules: Sequence[Rule], status: int | None, error: ErrorText) -> Rule | None:
    return next((rule for rule in rules if rule.fits(status, error)), None)


def _by_rule(rule: Rule, status: int | None, error: ErrorText) -> Recognised:
    evidence = [] if status is None else [f"status {status}"]
    word = rule.word_in(error.words)
    if word is not None:
        evidence.append(f"the word {word!r}")
    if rule.message is not None and (found := rule.message.search(error.message)):
        evidence.append(f"the message's {found[0][:80]!r}")
    because = f"{' and '.join(evidence)}, as said by {rule.said_by}"
    if status is not None and rule.kind is by_status(status):
        # The row says more about the fault, but its class does not hang on it.
        return Recognised(rule.kind, "status", rule, because)
    return Recognised(rule.kind, "code" if rule.message is None else "message", rule, because)


def fault_of(answer: Answer, rules: Sequence[Rule], error: ErrorText | None = None) -> Fault:
    """What kind of refusal `answer` is. Never raises. `error`: its body, where it has been read."""
    if error is None:
        error = _with_aws_type(read_error(answer.body), answer)
    found = recognise(rules, answer.status, error)
    # What an intermediary quotes of the headers that it was sent stands in for what it did not pass on.
    told = msgspec.structs.replace(answer, headers={**error.headers, **answer.headers})
    hint = retry_after(told)
    if hint is None:
        hint = in_words(error.message, error.body)
    return Fault(
        kind=found.kind,
        message=error.message or f"status {answer.status} without an explanation",
        status=answer.status,
        code=error.code,
        type=error.type,
        param=error.param,
        retry_after=hint,
        day_ends_in=_day_ends_in(found, told, hint),
        should_retry=should_retry(answer),
        request_id=request_id(answer),
        by=found.by,
        because=found.because,
        elsewhere=found.rule is not None and found.rule.elsewhere,
    )


def in_stream(raw: object, rules: Sequence[Rule], error: ErrorText | None = None) -> Fault:
    """What an error object within an answer of status 200 means: the same as with the status that it names, or
    that its words stand for; IN_STREAM_ERROR if it says nothing of its kind.

    The fault has no `status`: the answer's was 200, so what an HTTP 500 says of the bill is not known here.
    """
    if error is None:
        error = read_object(raw)
    status = error.status
    if status is None:
        status = next((_STATUS_OF[word] for word in error.words if word in _STATUS_OF), None)
    rule = _first(rules, status, error)
    if rule is not None:
        found = _by_rule(rule, status, error)
    elif status is not None:
        word = next((word for word in error.words if word in _STATUS_OF), None)
        named = f"the word {word!r}" if error.status is None else f"status {status} within the answer"
        found = Recognised(by_status(status), "code", None, named)
    else:
        found = Recognised(
            FaultClass.IN_STREAM_ERROR, "status", None, "an error within an answer of status 200"
        )
    return Fault(
        kind=found.kind,
        message=error.message or "the vendor reported an error within its answer",
        code=error.code,
        type=error.type,
        param=error.param,
        retry_after=in_words(error.message, error.body),
        by=found.by,
        because=found.because,
        elsewhere=found.rule is not None and found.rule.elsewhere,
    )


def request_id(answer: Answer) -> str | None:
    """The vendor's name for the request, for its support."""
    return next((answer.headers[name] for name in _REQUEST_IDS if name in answer.headers), None)


def _with_aws_type(error: ErrorText, answer: Answer) -> ErrorText:
    """AWS names the exception in a header: `ThrottlingException:http://internal.amazon.com/...`."""
    named = answer.headers.get(_AWS_TYPE)
    if named is None:
        return error
    word = named.split(":", 1)[0].strip()
    return msgspec.structs.replace(error, code=error.code or word, words=(*error.words, word))


def _day_ends_in(found: Recognised, answer: Answer, hint: float | None) -> float | None:
    """Seconds until a daily limit is lifted: at the reset that the vendor names, else at its midnight.

    Google's hint is about the minute, whichever limit it was that was reached, so it names no reset.
    """
    if found.kind is not FaultClass.DAILY_LIMIT:
        return None
    day: Day = "UTC" if found.rule is None else found.rule.day
    if day == "UTC":
        reset = named_reset(answer)
        named = reset if reset is not None else hint
        if named is not None:
            return named
    now = now_of(answer)
    # Without any clock the limit is taken to have been reached just after midnight.
    return _DAY_LONG if now is None else until_midnight(now, day)

"""Google's words: the status word (`INVALID_ARGUMENT`, `RESOURCE_EXHAUSTED`, ...), the reasons and the quota
violations in `details`. A wrong key, a location that is not served, a prompt that is too long and a wrong
file all come as 400 or 403 with the same word, so there the message tells them apart.

Of limits: money first, then a quota of none at all (this key's tier does not include this model; other models are not
concerned), then the day before the minute, whatever `RetryInfo` says.
"""

from __future__ import annotations

from typing import Final

from ....actors.faults import FaultClass
from ..recognise import ANY, Rule
from .shared import LACKING, text

__all__ = ["GOOGLE"]

_WHO: Final = "Google"
_INVALID: Final = ("INVALID_ARGUMENT", "OUT_OF_RANGE", "FAILED_PRECONDITION")
_CALLERS_OWN: Final = r"cached ?content|\bfiles?\b|\bfileData\b|file ?search ?store"

GOOGLE: Final[tuple[Rule, ...]] = (
    Rule(kind=FaultClass.QUOTA_EXHAUSTED, said_by=_WHO, words=("BILLING_DISABLED",)),
    Rule(
        kind=FaultClass.QUOTA_EXHAUSTED, said_by=_WHO, words=("FAILED_PRECONDITION", "PERMISSION_DENIED"),
        message=text(
            r"enable billing", r"billing (?:account )?.*(?:disabled|not active)", r"BILLING_DISABLED"
        ),
    ),
    Rule(
        kind=FaultClass.QUOTA_EXHAUSTED, said_by=_WHO, words=("RESOURCE_EXHAUSTED",),
        message=text(
            r"credits? (?:are|is|have been) depleted", r"prepay", r"spend(?:ing)? (?:cap|limit)"
        ),
    ),
    Rule(kind=FaultClass.NO_MODEL, said_by=_WHO, statuses=(429,), words=("quotaValue=0",)),
    Rule(
        kind=FaultClass.NO_MODEL, said_by=_WHO, words=("RESOURCE_EXHAUSTED",),
        message=text(r"\blimit: 0(?![\d.])"),
    ),
    Rule(kind=FaultClass.DAILY_LIMIT, said_by=_WHO, statuses=(429,), words=("*PerDay*",), day="Pacific"),
    Rule(
        kind=FaultClass.AUTH, said_by=_WHO, statuses=(400, 401, 403),
        words=("API_KEY_*", "SERVICE_DISABLED", "CONSUMER_*"),
    ),
    Rule(
        kind=FaultClass.AUTH, said_by=_WHO, words=_INVALID,
        message=text(
            r"api key (?:not valid|expired|not found|was reported)", r"pass a valid api key"
        ),
    ),
    Rule(
        kind=FaultClass.NO_MODEL, said_by=_WHO, words=("FAILED_PRECONDITION",), message=text(r"location")
    ),
    Rule(
        kind=FaultClass.CONTEXT_LENGTH, said_by=_WHO, words=_INVALID,
        message=text(
            r"token count\b.*\bexceeds", r"token count is \d+ but", r"maximum number of tokens allowed"
        ),
    ),
    Rule(
        kind=FaultClass.TOO_LARGE, said_by=_WHO, words=_INVALID, message=text(r"payload size exceeds")
    ),
    Rule(
        kind=FaultClass.NO_MODEL, said_by=_WHO, words=_INVALID,
        message=text(r"GenerateContentRequest\.model\b", r"unexpected model name"),
    ),
    Rule(
        kind=FaultClass.BAD_REQUEST, said_by=_WHO, words=("PERMISSION_DENIED",),
        message=text(_CALLERS_OWN),
    ),
    Rule(
        kind=FaultClass.NO_MODEL, said_by=_WHO, words=("PERMISSION_DENIED",),
        message=text(r"\b(?:tuned|publisher )?models?\b", r"models/"),
    ),
    Rule(
        kind=FaultClass.BAD_REQUEST, said_by=_WHO, words=("NOT_FOUND",),
        message=text(rf"^(?!.*models/).*(?:{_CALLERS_OWN})"),
    ),
    Rule(kind=FaultClass.TIMEOUT_409, said_by=_WHO, words=("CANCELLED",)),
    Rule(kind=FaultClass.NO_MODEL, said_by=_WHO, statuses=(501,), words=("UNIMPLEMENTED",)),
    Rule(kind=FaultClass.OVERLOADED, said_by=_WHO, statuses=ANY, words=("UNAVAILABLE",)),
    Rule(
        kind=LACKING.kind, said_by=_WHO, statuses=(400,), words=_INVALID, message=text(
            r"not (?:enabled|supported) (?:for|in|by|with) (?:this model|the model|models/|streaming)"
        ),
        elsewhere=True,
    ),
)  # fmt: skip
"""`quotaValue=0` stands for a violation of a quota of none; see `error_text`."""

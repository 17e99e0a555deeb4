"""Anthropic's words: the error's `type`, and where one type means several things the code in its `details`, which newer
interfaces send (as the types of Anthropic's SDK list them), else its message."""

from __future__ import annotations

from typing import Final

from ....actors.faults import FaultClass
from ..recognise import ANY, Rule
from .shared import LACKING, SHARED, text

__all__ = ["ANTHROPIC"]

_WHO: Final = "Anthropic"

ANTHROPIC: Final[tuple[Rule, ...]] = (
    Rule(kind=FaultClass.RAMP_LIMITED, said_by=_WHO, words=("ramp_limit_exceeded",)),
    Rule(
        kind=FaultClass.QUOTA_EXHAUSTED, said_by=_WHO,
        words=(
            "contract_spend_limit_reached", "enforced_spend_limit_reached",
            "linked_organization_spend_limit_reached", "linked_organization_billing_unavailable",
        ),
    ),
    Rule(
        kind=FaultClass.AUTH, said_by=_WHO,
        words=("organization_on_hold", "cmek_key_disabled", "cmek_key_network_blocked"),
    ),
    Rule(
        # The request names the user profile, the file or the thread, so what is wrong with it is not ours.
        kind=FaultClass.BAD_REQUEST, said_by=_WHO,
        words=(
            "user_profile_not_billable", "user_profile_billing_not_authorized", "file_expired", "thread_not_found",
        ),
    ),
    Rule(kind=FaultClass.OVERLOADED, said_by=_WHO, statuses=ANY, words=("compaction_unavailable",)),
    Rule(kind=FaultClass.OVERLOADED, said_by=_WHO, statuses=ANY, words=("overloaded_error",)),
    Rule(kind=FaultClass.QUOTA_EXHAUSTED, said_by=_WHO, words=("billing_error",)),
    Rule(
        kind=FaultClass.QUOTA_EXHAUSTED, said_by=_WHO, statuses=(400, 403, 429),
        message=text(r"credit balance is too low", r"reached your specified .{0,20}usage limits"),
    ),
    Rule(
        kind=FaultClass.TOO_LARGE, said_by=_WHO, statuses=(429,),
        message=text(r"extra usage is required for long context"),
    ),
    Rule(kind=FaultClass.TOO_LARGE, said_by=_WHO, words=("request_too_large",)),
    Rule(kind=FaultClass.RAMP_LIMITED, said_by=_WHO, statuses=(429,), message=text(r"acceleration limit")),
    Rule(kind=FaultClass.AUTH, said_by=_WHO, words=("authentication_error",)),
    Rule(
        kind=FaultClass.AUTH, said_by=_WHO, statuses=(400, 403),
        message=text(r"organization has been disabled"),
    ),
    Rule(
        # Its answer to a country or a network that is not served.
        kind=FaultClass.NO_MODEL, said_by=_WHO, statuses=(403,), words=("forbidden",),
        message=text(r"request not allowed"),
    ),
    Rule(
        # A key may be barred from one model.
        kind=FaultClass.NO_MODEL, said_by=_WHO, statuses=(403,), words=("permission_error",),
        message=text(r"\bmodel\b"),
    ),
    Rule(
        kind=FaultClass.BAD_REQUEST, said_by=_WHO, statuses=(404,), words=("not_found_error",),
        message=text(r"^(?!model\b).*\b(?:file|container|skill|thread|profile|document)s?\b"),
    ),
    Rule(kind=FaultClass.NO_MODEL, said_by=_WHO, words=("not_found_error",)),
    Rule(
        kind=FaultClass.CONTEXT_LENGTH, said_by=_WHO, statuses=(400,),
        message=text(r"prompt is too long", r"exceed.{0,20}context (?:limit|window)"),
    ),
    Rule(
        kind=FaultClass.REFUSED, said_by=_WHO, statuses=(400,),
        message=text(r"output blocked by content filtering"),
    ),
    *SHARED,
    LACKING,
)  # fmt: skip

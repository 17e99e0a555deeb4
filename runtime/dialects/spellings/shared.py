"""Sentences that vendors of several formats use: the end of every table, where no word has decided."""

from __future__ import annotations

import re
from typing import Final

from ....actors.faults import FaultClass
from ..recognise import Rule

__all__ = ["LACKING", "SHARED", "text"]


def text(*alternatives: str) -> re.Pattern[str]:
    """A pattern for any of these, in capitals or not."""
    return re.compile("|".join(alternatives), re.IGNORECASE)


LACKING: Final = Rule(
    kind=FaultClass.BAD_REQUEST,
    said_by="several vendors",
    statuses=(400, 403, 404, 422),
    message=text(
        r"not supported (?:with|by|in|for|when using) (?:this|the) model",
        r"not supported in streaming",
        r"not supported with (?:reasoning models|stream)",
        r"does(?: not|n't) support (?!multiple)",
        r"not enabled for (?:this model|models/|your organization)",
        r"no endpoints found that support",
        r"not a multimodal model",
        r"model features .{0,40} not support",
        r"grammar is not supported",
        r"unknown variant `(?:input_audio|image_url)`",
    ),
    elsewhere=True,
)
"""A model or vendor that cannot do what was asked, while it can do other things: nothing is closed for it."""

SHARED: Final[tuple[Rule, ...]] = (
    Rule(
        kind=FaultClass.QUOTA_EXHAUSTED,
        said_by="several vendors",
        statuses=(400, 403, 429),
        message=text(
            r"insufficient (?:account )?(?:balance|credits?|funds)",
            r"credits? (?:balance is too low|(?:are|is|have been) depleted)",
            r"(?:used|depleted|spent|exhausted) (?:up )?(?:all|your)(?: of)?(?: your)?(?: available| monthly| included)* credits",
            r"exceeded your monthly (?:included )?credits",
            r"monthly (?:spending|spend|usage) limit",
            r"(?:run|ran) out of credits",
        ),
    ),
    Rule(
        # Anthropic, Moonshot, Scaleway and Alibaba each have a sentence of their own for it.
        kind=FaultClass.CONCURRENCY_LIMITED,
        said_by="several vendors",
        statuses=(429,),
        message=text(
            r"too many concurrent (?:requests|connections|calls)",
            r"concurrent (?:requests|connections) (?:has|have|was|were)?\b.{0,20}exceed",
            r"exceed\w*\b.{0,40}\bconcurren(?:t|cy)\b",
            r"max(?:imum)? (?:organization |project )?concurrency",
        ),
    ),
    Rule(
        kind=FaultClass.DAILY_LIMIT,
        said_by="several vendors",
        statuses=(403, 429),
        message=text(r"per[- ]day\b", r"\b(?:RPD|TPD)\b", r"\bdaily (?:free |rate |request |token |call )?(?:limit|quota|allocation)"),
    ),
    Rule(
        kind=FaultClass.CONTEXT_LENGTH,
        said_by="several vendors",
        statuses=(400, 403, 413, 422),
        message=text(
            r"maximum (?:context|prompt|input) length",
            r"context[ _](?:length|window|size|limit)",
            r"max context",
            r"too many (?:input |prompt )?tokens\b(?!.*per)",
            r"(?:prompt|input) (?:is )?too long",
            r"range of input length",
            r"length of all messages is too long",
            r"`inputs` tokens \+ `max_new_tokens`",
        ),
    ),
    Rule(
        kind=FaultClass.REFUSED,
        said_by="several vendors",
        statuses=(400, 403),
        message=text(
            r"content (?:violates|management policy)",
            r"content (?:filtering|filter) policy",
            r"violat(?:es?|ing) our usage polic",
            r"(?:input|prompt|request) was (?:flagged|rejected (?:as a result of|by) (?:our|the) safety)",
            r"requires moderation",
            r"content exists risk",
        ),
    ),
    Rule(
        kind=FaultClass.NO_MODEL,
        said_by="several vendors",
        statuses=(400, 403),
        message=text(
            r"(?:country|region)(?:, region)?,? or territory not supported",
            r"(?:unsupported|not (?:available|supported) in (?:your|this)) (?:country|region|location)",
        ),
    ),
)  # fmt: skip

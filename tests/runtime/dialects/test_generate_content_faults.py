"""What Google's refusals mean: every row is an error as it is known to come, worded as its vendor does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime.dialects.base import Answer
from llm_dispatcher.runtime.dialects.formats.generate_content import read_fault
from llm_dispatcher.runtime.dialects.formats.generate_content.faults import embedded_fault

from tests.fuzz.guard import cpu_limit


def refuse(status: int, body: Any, **headers: str) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, headers, content)


def error(status: int, word: str, message: str = "", *details: Any) -> Answer:
    return refuse(
        status, {"error": {"code": status, "message": message, "status": word, "details": list(details)}}
    )


def quota(*ids: str, **fields: Any) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaMetric": "m", "quotaId": name, **fields} for name in ids],
    }


def reason(word: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": word, "domain": "googleapis.com"}


def retry(delay: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


MINUTE, DAY = (
    "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
    "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
)

CASES: list[tuple[Answer, FaultClass]] = [
    (error(400, "INVALID_ARGUMENT", "Please use a valid role: user, model."), FaultClass.BAD_REQUEST),
    (error(400, "INVALID_ARGUMENT", "API key not valid.", reason("API_KEY_INVALID")), FaultClass.AUTH),
    (error(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."), FaultClass.AUTH),
    (
        error(
            400,
            "INVALID_ARGUMENT",
            "The input token count (5) exceeds the maximum number of tokens allowed (4).",
        ),
        FaultClass.CONTEXT_LENGTH,
    ),
    (
        error(
            400, "INVALID_ARGUMENT", "the input token count is 1250000 but model only supports up to 1048576"
        ),
        FaultClass.CONTEXT_LENGTH,
    ),
    (
        error(400, "INVALID_ARGUMENT", "max_output_tokens: the supported range is from 1 to 65537"),
        FaultClass.BAD_REQUEST,
    ),
    (
        error(400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes."),
        FaultClass.TOO_LARGE,
    ),
    (
        error(400, "INVALID_ARGUMENT", "* GenerateContentRequest.model: unexpected model name format"),
        FaultClass.NO_MODEL,
    ),
    (
        error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
        FaultClass.NO_MODEL,
    ),
    (
        error(
            400,
            "FAILED_PRECONDITION",
            "The free tier is not available in your country. Please enable billing.",
        ),
        FaultClass.QUOTA_EXHAUSTED,
    ),
    (error(400, "FAILED_PRECONDITION", "The file is not in an ACTIVE state."), FaultClass.BAD_REQUEST),
    (error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."), FaultClass.AUTH),
    (error(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers."), FaultClass.AUTH),
    (error(403, "PERMISSION_DENIED", "blocked", reason("API_KEY_SERVICE_BLOCKED")), FaultClass.AUTH),
    (
        error(403, "PERMISSION_DENIED", "not used in project before", reason("SERVICE_DISABLED")),
        FaultClass.AUTH,
    ),
    (
        error(403, "PERMISSION_DENIED", "This API needs money", reason("BILLING_DISABLED")),
        FaultClass.QUOTA_EXHAUSTED,
    ),
    (
        error(403, "PERMISSION_DENIED", "You do not have permission to access tuned model x"),
        FaultClass.NO_MODEL,
    ),
    (
        error(403, "PERMISSION_DENIED", "You do not have permission to access the File x"),
        FaultClass.BAD_REQUEST,
    ),
    (
        error(403, "PERMISSION_DENIED", "CachedContent not found (or permission denied)"),
        FaultClass.BAD_REQUEST,
    ),
    (error(404, "NOT_FOUND", "models/x is not found for API version v1beta"), FaultClass.NO_MODEL),
    (error(404, "NOT_FOUND", "Requested entity was not found."), FaultClass.NO_MODEL),
    (error(404, "NOT_FOUND", "CachedContent not found"), FaultClass.BAD_REQUEST),
    (
        error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
        FaultClass.RATE_LIMITED,
    ),
    (error(429, "RESOURCE_EXHAUSTED", "", quota(MINUTE), retry("18s")), FaultClass.RATE_LIMITED),
    (error(429, "RESOURCE_EXHAUSTED", "", quota(MINUTE, DAY), retry("18s")), FaultClass.DAILY_LIMIT),
    (
        error(
            429,
            "RESOURCE_EXHAUSTED",
            "please check your plan and billing details. limit: 1000",
            quota(MINUTE),
        ),
        FaultClass.RATE_LIMITED,
    ),
    (
        error(429, "RESOURCE_EXHAUSTED", "* Quota exceeded, limit: 0, model: x", quota(DAY)),
        FaultClass.NO_MODEL,
    ),
    (error(429, "RESOURCE_EXHAUSTED", "", quota(DAY, quotaValue="0")), FaultClass.NO_MODEL),
    (error(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."), FaultClass.QUOTA_EXHAUSTED),
    (
        error(429, "RESOURCE_EXHAUSTED", "Your project has exceeded its monthly spending cap."),
        FaultClass.QUOTA_EXHAUSTED,
    ),
    (error(500, "INTERNAL", "An internal error has occurred."), FaultClass.SERVER_ERROR),
    (error(503, "UNAVAILABLE", "The model is overloaded."), FaultClass.OVERLOADED),
    (error(504, "DEADLINE_EXCEEDED", "Deadline expired"), FaultClass.SERVER_ERROR),
    (error(409, "ABORTED", "conflict"), FaultClass.TIMEOUT_409),
    (error(499, "CANCELLED", "The operation was cancelled."), FaultClass.TIMEOUT_409),
    (refuse(429, {"error": {"code": 429, "message": "no word"}}), FaultClass.RATE_LIMITED),
    (
        refuse(
            400, [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}]
        ),
        FaultClass.AUTH,
    ),
    (refuse(502, b"<html>Bad gateway</html>"), FaultClass.SERVER_ERROR),
    (refuse(503, b""), FaultClass.OVERLOADED),
    (refuse(401, b"null"), FaultClass.AUTH),
    (refuse(402, {"error": "no money"}), FaultClass.QUOTA_EXHAUSTED),
]


@pytest.mark.parametrize(
    ("answer", "kind"), CASES, ids=[f"{a.status} {k.value} {i}" for i, (a, k) in enumerate(CASES)]
)
def test_a_refusal_is_of_its_class(answer: Answer, kind: FaultClass) -> None:
    fault = read_fault(answer)
    assert fault.kind is kind
    assert fault.status == answer.status
    assert fault.message


def test_the_fault_names_reason_and_word() -> None:
    fault = read_fault(error(400, "INVALID_ARGUMENT", "API key not valid.", reason("API_KEY_INVALID")))
    assert (fault.code, fault.type, fault.message) == (
        "API_KEY_INVALID",
        "INVALID_ARGUMENT",
        "API key not valid.",
    )


def test_a_page_of_a_proxy_is_told_by_its_title() -> None:
    page = refuse(502, b"<html><title>Bad gateway</title></html>", **{"x-request-id": "r1"})
    fault = read_fault(page)
    assert (fault.kind, fault.message, fault.request_id) == (FaultClass.SERVER_ERROR, "Bad gateway", "r1")


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (error(429, "RESOURCE_EXHAUSTED", "", retry("48s")), 48.0),
        (error(429, "RESOURCE_EXHAUSTED", "", retry("0.5s")), 0.5),
        (error(429, "RESOURCE_EXHAUSTED", "Please retry in 48.9s.", retry("48s")), 48.9),
        (error(429, "RESOURCE_EXHAUSTED", "Please retry in 1m2s."), 62.0),
        (error(429, "RESOURCE_EXHAUSTED", "Please try again later."), None),
        (error(429, "RESOURCE_EXHAUSTED", "", retry("soon")), None),
        (refuse(429, b"slow", **{"retry-after": "7"}), 7.0),
    ],
)
def test_the_hint_is_the_longest_that_is_given(answer: Answer, seconds: float | None) -> None:
    assert read_fault(answer).retry_after == seconds


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "error",
                    "code",
                    "message",
                    "status",
                    "details",
                    "reason",
                    "violations",
                    "quotaId",
                    "retryDelay",
                ]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@given(status=st.integers(400, 599), body=JSON.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_no_body_is_beyond_reading(status: int, body: bytes) -> None:
    fault = read_fault(Answer(status, {}, body))
    assert isinstance(fault.kind, FaultClass)
    assert fault.status == status


@pytest.mark.parametrize("unit", ["token count ", "billing ", "retry in 1", "limit: 0 "])
def test_the_longest_message_is_read_at_once_and_cut(unit: str) -> None:
    for status, word in (
        (400, "INVALID_ARGUMENT"),
        (400, "FAILED_PRECONDITION"),
        (429, "RESOURCE_EXHAUSTED"),
    ):
        with cpu_limit(1.0):
            fault = read_fault(error(status, word, unit * (60_000 // len(unit))))
        assert len(fault.message) < 2100


def test_a_code_that_is_no_status_is_not_taken_for_one() -> None:
    fault = embedded_fault({"code": 10**400, "message": ""})
    assert (fault.status, fault.kind) == (None, FaultClass.IN_STREAM_ERROR)

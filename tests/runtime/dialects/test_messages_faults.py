"""Errors of the messages format: each class of refusal by what the vendor says of it, and our own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime.dialects import Answer
from llm_dispatcher.runtime.dialects.formats.messages import faults


def refusal(status: int, type: str, message: str = "m", code: str | None = None) -> Answer:
    error: dict[str, Any] = {"type": type, "message": message}
    if code is not None:
        error["details"] = {"error_code": code}
    return Answer(status, {}, json.dumps({"type": "error", "error": error, "request_id": "req_1"}).encode())


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(400, "invalid_request_error", "max_tokens: too small"), FaultClass.BAD_REQUEST),
        (
            refusal(400, "invalid_request_error", "prompt is too long: 2 tokens > 1"),
            FaultClass.CONTEXT_LENGTH,
        ),
        (
            refusal(400, "invalid_request_error", "Your credit balance is too low"),
            FaultClass.QUOTA_EXHAUSTED,
        ),
        (
            refusal(400, "invalid_request_error", "Output blocked by content filtering policy"),
            FaultClass.REFUSED,
        ),
        (refusal(400, "invalid_request_error", "This organization has been disabled."), FaultClass.AUTH),
        (refusal(401, "authentication_error", "invalid x-api-key"), FaultClass.AUTH),
        (refusal(403, "permission_error", "no"), FaultClass.AUTH),
        (
            refusal(403, "permission_error", "Your key has no permission to use the specified model"),
            FaultClass.NO_MODEL,
        ),
        (refusal(404, "not_found_error", "model: claude-0"), FaultClass.NO_MODEL),
        (refusal(404, "not_found_error", "File not found: file_1"), FaultClass.BAD_REQUEST),
        (refusal(413, "request_too_large"), FaultClass.TOO_LARGE),
        (refusal(429, "rate_limit_error", "This request would exceed your limit"), FaultClass.RATE_LIMITED),
        (refusal(429, "rate_limit_error", "m", "ramp_limit_exceeded"), FaultClass.RAMP_LIMITED),
        (
            refusal(400, "invalid_request_error", "m", "enforced_spend_limit_reached"),
            FaultClass.QUOTA_EXHAUSTED,
        ),
        (refusal(500, "api_error", "prompt is too long"), FaultClass.SERVER_ERROR),
        (refusal(504, "timeout_error"), FaultClass.SERVER_ERROR),
        (refusal(529, "overloaded_error"), FaultClass.OVERLOADED),
        (refusal(500, "overloaded_error"), FaultClass.OVERLOADED),
        (Answer(403, {}, b"<html><title>Forbidden</title></html>"), FaultClass.AUTH),
    ],
)
def test_a_refusal_is_what_its_type_code_and_words_say(answer: Answer, kind: FaultClass) -> None:
    assert faults.recognise(answer).kind is kind


def test_a_refusal_is_named_for_the_vendors_support_by_header_or_body() -> None:
    answer = refusal(529, "overloaded_error")
    assert faults.recognise(answer).request_id == "req_1"
    named = Answer(529, {"request-id": "req_2"}, answer.body)
    assert faults.recognise(named).request_id == "req_2"


@given(status=st.integers(400, 599), body=st.binary(max_size=60) | st.sampled_from([b'{"error":7}', b"[[]]"]))
def test_no_refusal_is_too_strange_to_be_recognised(status: int, body: bytes) -> None:
    assert faults.recognise(Answer(status, {}, body)).status == status


@given(
    raw=st.recursive(
        st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner)
    )
)  # fmt: skip
def test_no_error_in_a_stream_is_too_strange_to_be_recognised(raw: Any) -> None:
    assert faults.in_stream(raw).message


@pytest.mark.parametrize(
    ("status", "type"),
    [
        (400, "invalid_request_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
    ],
)
def test_our_own_errors_have_the_type_that_belongs_to_their_status(status: int, type: str) -> None:
    assert faults.write("m", status=status, code="c", request_id="r") == {
        "type": "error",
        "error": {"type": type, "message": "m", "details": {"error_code": "c"}},
        "request_id": "r",
    }

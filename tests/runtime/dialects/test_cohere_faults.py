"""Cohere's refusals: each is of the class that its reference of errors describes."""

from __future__ import annotations

import json

import pytest
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime.canon import Fault
from llm_dispatcher.runtime.dialects import Answer, Target
from llm_dispatcher.runtime.dialects.cohere import Cohere

DIALECT = Cohere(Target(vendor="cohere", base_url="https://api.cohere.com/v2", model="m", key="k"))


def recognised(status: int, message: str, **headers: str) -> Fault:
    body = json.dumps({"id": "4f1c", "message": message}).encode()
    return DIALECT.fault(
        Answer(status, {name.replace("_", "-"): text for name, text in headers.items()}, body)
    )


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (401, "invalid api token", FaultClass.AUTH),
        (401, "no api key supplied", FaultClass.AUTH),
        (
            402,
            "Please add or update your payment method at https://dashboard.cohere.com",
            FaultClass.QUOTA_EXHAUSTED,
        ),
        (403, "forbidden", FaultClass.AUTH),
        (404, "model 'x' not found, make sure the correct model ID was used", FaultClass.NO_MODEL),
        (400, "invalid request: model 'command-r' is not supported by the chat API", FaultClass.NO_MODEL),
        (400, "invalid request: message must be at least 1 token long", FaultClass.BAD_REQUEST),
        (
            400,
            "too many tokens: size limit exceeded by 25836 tokens. Try using shorter ones",
            FaultClass.CONTEXT_LENGTH,
        ),
        (
            400,
            "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292",
            FaultClass.CONTEXT_LENGTH,
        ),
        (422, "No valid response generated. Try updating messages", FaultClass.BAD_REQUEST),
        (
            429,
            "You are using a Trial key, which is limited to 20 API calls / minute. You can continue to use it",
            FaultClass.RATE_LIMITED,
        ),
        (
            429,
            "You are using a Trial key, which is limited to 1000 API calls / month. You can upgrade",
            FaultClass.QUOTA_EXHAUSTED,
        ),
        (429, "trial token rate limit exceeded, limit is 100000 tokens per minute", FaultClass.RATE_LIMITED),
        (
            429,
            "You are past the per minute request limit, please wait and try again",
            FaultClass.RATE_LIMITED,
        ),
        (498, "invalid token", FaultClass.AUTH),
        (498, "the input was blocked", FaultClass.REFUSED),
        (499, "request cancelled", FaultClass.TIMEOUT_409),
        (500, "internal server error, this has been reported to our developers", FaultClass.SERVER_ERROR),
        (501, "not implemented", FaultClass.SERVER_ERROR),
        (503, "service unavailable", FaultClass.OVERLOADED),
        (504, "gateway timeout", FaultClass.SERVER_ERROR),
    ],
)
def test_refusals_are_recognised(status: int, message: str, kind: FaultClass) -> None:
    fault = recognised(status, message)
    assert (fault.kind, fault.message, fault.status) == (kind, message, status)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "invalid request: image content is not supported for this model"),
        (400, "invalid request: response_format is not supported with RAG."),
        (
            400,
            "too many tokens: max tokens must be less than or equal to 4096, the maximum output for this model",
        ),
        (422, "No valid response generated. Try updating messages"),
    ],
)
def test_what_only_this_model_cannot_do_may_be_asked_of_another(status: int, message: str) -> None:
    fault = recognised(status, message)
    assert (fault.kind, fault.elsewhere) == (FaultClass.BAD_REQUEST, True)


def test_the_vendors_word_tells_a_prompt_that_is_too_long_whatever_the_message() -> None:
    body = b'{"error_type": "TOO_MANY_TOKENS", "message": "?"}'
    assert DIALECT.fault(Answer(400, {}, body)).kind is FaultClass.CONTEXT_LENGTH


def test_a_refusal_names_its_request_and_how_long_to_wait() -> None:
    fault = recognised(429, "past the per minute request limit", retry_after="7")
    assert (fault.request_id, fault.retry_after) == ("4f1c", 7)
    assert recognised(500, "x", x_request_id="r").request_id == "r"


@pytest.mark.parametrize(
    "body", [b"", b"<html><title>502 Bad Gateway</title></html>", b"[]", b"null", b'{"id": 7}']
)
def test_a_body_that_is_not_the_vendors_is_judged_by_its_status(body: bytes) -> None:
    assert DIALECT.fault(Answer(502, {}, body)).kind is FaultClass.SERVER_ERROR

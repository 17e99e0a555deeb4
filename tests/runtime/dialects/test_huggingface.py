"""Hugging Face, router and dedicated endpoints: a row of the catalogue, and refusals in the shapes of many others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime.canon import Fault, Message, Request
from llm_dispatcher.runtime.config import load_mapping
from llm_dispatcher.runtime.dialects import Answer, Dialect, dialect_class
from llm_dispatcher.runtime.plan import plan_deployments

PAGE = (
    b'<!DOCTYPE html>\n<html class="">\n<head><title>Hugging Face</title></head>\n'
    b"<body><main><h1>503</h1><p>Service Unavailable</p></main></body></html>"
)


def dialect(**vendor: Any) -> Dialect:
    settings = {"name": "huggingface", "api_key": "hf_1", "models": [{"name": "m"}], **vendor}
    (planned,) = plan_deployments(load_mapping({"vendors": [settings]}).vendors)
    return dialect_class(planned.vendor.dialect)(planned.target())


def sent(made: Dialect) -> tuple[str, dict[str, Any]]:
    request = made.build(Request(model="m", messages=[Message("developer", "x")]), stream=True).request
    assert request.headers["authorization"] == "Bearer hf_1"
    return str(request.url), json.loads(request.read())


@pytest.mark.parametrize("id", ["org/model", "org/model:together", "org/model:cheapest"])
def test_an_id_may_choose_who_serves_it(id: str) -> None:
    url, body = sent(dialect(models=[{"name": "m", "id": id}]))
    assert (url, body["model"]) == ("https://router.huggingface.co/v1/chat/completions", id)
    assert body["messages"][0]["role"] == "system"
    assert body["stream_options"] == {"include_usage": True}


def test_the_name_that_callers_use_may_be_such_an_id_too() -> None:
    assert sent(dialect(models=[{"name": "org/model:together"}]))[1]["model"] == "org/model:together"


def test_a_dedicated_endpoint_differs_in_its_address_alone() -> None:
    address = "https://abc.us-east-1.aws.endpoints.huggingface.cloud/v1/"
    url, body = sent(dialect(name="mine", catalogue="huggingface", base_url=address))
    assert url == f"{address}chat/completions"
    assert body["messages"][0]["role"] == "system"


def refused(status: int, body: object) -> Fault:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return dialect().fault(Answer(status, {}, raw))


def test_a_model_that_is_loading_says_how_long_it_takes() -> None:
    fault = refused(503, {"error": "Model org/m is currently loading", "estimated_time": 20.5})
    assert (fault.kind, fault.retry_after) == (FaultClass.OVERLOADED, 20.5)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(502, FaultClass.SERVER_ERROR), (503, FaultClass.OVERLOADED), (504, FaultClass.SERVER_ERROR)],
)
def test_of_a_page_only_its_words_are_told(status: int, kind: FaultClass) -> None:
    fault = refused(status, PAGE)
    assert (fault.kind, fault.message) == (kind, "Hugging Face")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"error": "Invalid username or password."}, FaultClass.AUTH),
        (402, {"error": "You have depleted your monthly included credits."}, FaultClass.QUOTA_EXHAUSTED),
        (404, b"Not Found", FaultClass.NO_MODEL),
        (400, {"error": {"code": "model_not_supported", "message": "x"}}, FaultClass.NO_MODEL),
        (400, {"error": "The model org/m does not exist"}, FaultClass.NO_MODEL),
        (422, {"error": "`inputs` tokens + `max_new_tokens` must be <= 9"}, FaultClass.CONTEXT_LENGTH),
        (429, {"error": "Too Many Requests"}, FaultClass.RATE_LIMITED),
        (500, {"error": "unknown error", "warnings": ["x"]}, FaultClass.SERVER_ERROR),
        (500, {"message": "unknown error", "type": "server_error"}, FaultClass.SERVER_ERROR),
        (503, b"", FaultClass.OVERLOADED),
    ],
)
def test_refusals_in_the_routers_own_shape_and_in_those_of_the_vendors_behind_it(
    status: int, body: object, kind: FaultClass
) -> None:
    fault = refused(status, body)
    assert fault.kind is kind
    assert fault.message


def test_what_the_vendor_behind_the_router_cannot_do_may_be_asked_of_another() -> None:
    fault = refused(
        400, {"code": 400, "reason": "INVALID_REQUEST_BODY", "message": "model features vision not support"}
    )
    assert (fault.kind, fault.elsewhere) == (FaultClass.BAD_REQUEST, True)

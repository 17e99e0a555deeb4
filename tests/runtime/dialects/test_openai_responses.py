"""The dialects `openai-responses` and `azure-responses`: where they send what, their options, what refusals mean."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime.canon import Message, Opened, Request
from llm_dispatcher.runtime.dialects import Answer, Dialect, Target, dialect_class, dialect_names

OPENAI = "https://api.openai.com/v1"
AZURE = "https://me.openai.azure.com"
HELLO = Request(model="m", messages=[Message("user", "hi")])


def dialect(name: str, base_url: str, **more: Any) -> Dialect:
    target: dict[str, Any] = {"vendor": "v", "base_url": base_url, "model": "gpt-5", "key": "k", **more}
    return dialect_class(name)(Target(**target))


@pytest.mark.parametrize(
    ("name", "base_url", "options", "url", "header"),
    [
        ("openai-responses", OPENAI, {}, f"{OPENAI}/responses", ("authorization", "Bearer k")),
        ("openai-responses", OPENAI, {"organization": "o"}, f"{OPENAI}/responses", ("openai-organization", "o")),
        ("openai-responses", OPENAI, {"project": "p"}, f"{OPENAI}/responses", ("openai-project", "p")),
        ("azure-responses", AZURE, {}, f"{AZURE}/openai/v1/responses", ("api-key", "k")),
        ("azure-responses", f"{AZURE}/openai/v1", {}, f"{AZURE}/openai/v1/responses", ("api-key", "k")),
        (
            "azure-responses", AZURE, {"api_version": "2025-03-01-preview", "bearer": True},
            f"{AZURE}/openai/responses?api-version=2025-03-01-preview", ("authorization", "Bearer k"),
        ),
    ],
)  # fmt: skip
def test_a_request_goes_to_the_right_door_with_its_key(
    name: str, base_url: str, options: dict[str, Any], url: str, header: tuple[str, str]
) -> None:
    assert name in dialect_names()
    sent = dialect(name, base_url, options=options).build(HELLO, stream=True).request
    assert str(sent.url) == url
    assert sent.headers[header[0]] == header[1]
    assert sent.headers["accept"] == "text/event-stream"
    body = json.loads(sent.read())
    assert (body["model"], body["stream"], body["store"]) == ("gpt-5", True, False)


@pytest.mark.parametrize("name", ["openai-responses", "azure-responses"])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sealed": True}, "known are .*sealed_thoughts"),
        ({"store": "no"}, "store"),
        ({"max_event_bytes": 0}, "max_event_bytes must be at least 1"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        dialect(name, OPENAI, options=options)


def test_a_vendors_own_bound_on_events_is_kept() -> None:
    decoder = dialect("openai-responses", OPENAI, options={"max_event_bytes": 50}).decoder()
    [failed] = decoder.feed(b"data: " + b"x" * 100)
    assert getattr(failed, "fault", None) is not None
    assert failed.fault.kind is FaultClass.OVERSIZED  # type: ignore[union-attr]


def test_an_event_needs_no_line_that_names_it() -> None:
    data = b'data: {"type":"response.created","response":{"id":"r","model":"m","created_at":3.0}}\n\n'
    for body in (data, b"event: response.created\n" + data, data.replace(b"\n", b"\r\n")):
        assert dialect("openai-responses", OPENAI).decoder().feed(body) == [Opened("r", "m", 3)]


@pytest.mark.parametrize(
    ("status", "error", "kind", "elsewhere"),
    [
        (400, {"code": "model_not_found", "message": "The requested model 'x' does not exist."}, FaultClass.NO_MODEL, False),
        (400, {"code": "model_not_found", "message": "The requested model 'o1-mini' is not supported with the Responses API."}, FaultClass.NO_MODEL, False),
        (400, {"message": "Encrypted content is not supported with this model."}, FaultClass.BAD_REQUEST, True),
        (400, {"code": "invalid_encrypted_content", "message": "The encrypted content could not be verified."}, FaultClass.BAD_REQUEST, True),
        (400, {"code": "unsupported_parameter", "message": "Unsupported parameter"}, FaultClass.BAD_REQUEST, True),
        (400, {"code": "previous_response_not_found", "message": "Previous response with id 'r' not found."}, FaultClass.BAD_REQUEST, False),
        (404, {"type": "invalid_request_error", "message": "Item with id 'rs_1' not found. Items are not persisted"}, FaultClass.BAD_REQUEST, False),
        (404, {"type": "invalid_request_error", "message": "Invalid URL"}, FaultClass.NO_MODEL, False),
        (400, {"code": "context_length_exceeded", "message": "Your input exceeds the context window"}, FaultClass.CONTEXT_LENGTH, False),
        (429, {"code": "rate_limit_exceeded", "message": "slow"}, FaultClass.RATE_LIMITED, False),
        (500, {"type": "server_error", "message": "An error occurred"}, FaultClass.SERVER_ERROR, False),
    ],
)  # fmt: skip
def test_a_refusal_is_recognised(
    status: int, error: dict[str, Any], kind: FaultClass, elsewhere: bool
) -> None:
    fault = dialect("openai-responses", OPENAI).fault(
        Answer(status, {}, json.dumps({"error": error}).encode())
    )
    assert (fault.kind, fault.elsewhere) == (kind, elsewhere)

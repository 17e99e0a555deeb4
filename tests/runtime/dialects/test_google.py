"""The door of the Gemini API: addresses, headers, options."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime.canon import Message, Reasoning, Request, TextDelta
from llm_dispatcher.runtime.dialects import dialect_class
from llm_dispatcher.runtime.dialects.base import Answer, Target, Unsupported
from llm_dispatcher.runtime.dialects.google import BASE_URL, Google

ASK = Request(model="any", messages=[Message("user", "hé")])


def target(**fields: Any) -> Target:
    return Target(
        **{"vendor": "google", "base_url": BASE_URL, "model": "gemini-2.5-flash", "key": "secret", **fields}
    )


def sent(request: httpx.Request) -> Any:
    assert isinstance(request.stream, httpx.ByteStream)
    return json.loads(b"".join(request.stream))


def test_it_is_found_by_its_name() -> None:
    assert dialect_class("google") is Google
    assert (Google.name, Google.format) == ("google", "generate_content")


def test_a_request_goes_to_the_models_own_address_with_the_key_in_a_header() -> None:
    built = Google(target()).build(ASK, stream=False)
    request = built.request
    assert (request.method, str(request.url)) == (
        "POST",
        f"{BASE_URL}/models/gemini-2.5-flash:generateContent",
    )
    content = json.dumps(sent(request), ensure_ascii=False, separators=(",", ":")).encode()
    assert dict(request.headers) == {
        "host": "generativelanguage.googleapis.com",
        "content-type": "application/json",
        "x-goog-api-key": "secret",
        "content-length": str(len(content)),
    }
    assert sent(request) == {"contents": [{"role": "user", "parts": [{"text": "hé"}]}]}
    assert built.dropped == ()


def test_a_stream_is_asked_for_as_server_sent_events() -> None:
    request = Google(target()).build(ASK, stream=True).request
    assert str(request.url) == f"{BASE_URL}/models/gemini-2.5-flash:streamGenerateContent?alt=sse"


@pytest.mark.parametrize(
    ("base_url", "model", "address"),
    [
        (BASE_URL, "models/gemini-x", f"{BASE_URL}/models/gemini-x:generateContent"),
        (BASE_URL, "tunedModels/mine", f"{BASE_URL}/tunedModels/mine:generateContent"),
        (f"{BASE_URL}/", "gemini-x", f"{BASE_URL}/models/gemini-x:generateContent"),
        ("http://localhost:8080/v1", "a b?c", "http://localhost:8080/v1/models/a%20b%3Fc:generateContent"),
    ],
)
def test_addresses_are_made_of_base_and_model(base_url: str, model: str, address: str) -> None:
    request = Google(target(base_url=base_url, model=model)).build(ASK, stream=False).request
    assert str(request.url) == address


def test_the_targets_headers_replace_the_dialects_own() -> None:
    dialect = Google(target(key=None, headers={"X-Goog-Api-Key": "other", "x-team": "a"}))
    headers = dialect.build(ASK, stream=False).request.headers
    assert (headers["x-goog-api-key"], headers["x-team"]) == ("other", "a")
    assert len(headers.get_list("x-goog-api-key")) == 1


def test_without_a_key_none_is_sent() -> None:
    assert "x-goog-api-key" not in Google(target(key=None)).build(ASK, stream=False).request.headers


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"base_url": ""}, "base_url"),
        ({"base_url": "generativelanguage.googleapis.com"}, "base_url"),
        ({"base_url": f"{BASE_URL}?key=1"}, "base_url"),
        ({"model": ""}, "names no model"),
        ({"options": {"api_version": "v1"}}, "no option 'api_version'"),
        ({"options": {"thinking": "hard"}}, "option thinking is 'hard'"),
        ({"options": {"max_event_bytes": "big"}}, "option max_event_bytes is 'big'"),
        ({"options": {"max_event_bytes": 0}}, "option max_event_bytes is 0"),
    ],
)
def test_a_target_that_cannot_work_is_refused_with_the_remedy(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Google(target(**fields))


def test_what_it_cannot_say_is_refused_or_dropped_as_the_target_wants() -> None:
    hard = Request(model="any", messages=[Message("user", "hi")], reasoning=Reasoning(effort="max"))
    with pytest.raises(Unsupported, match="reasoning effort"):
        Google(target()).build(hard, stream=False)
    assert Google(target(lenient=True)).build(hard, stream=False).dropped == ("reasoning effort 'max'",)


def test_the_options_reach_the_body_and_the_decoder() -> None:
    low = Request(model="any", messages=[Message("user", "hi")], reasoning=Reasoning(effort="low"))
    dialect = Google(
        target(model="gemini-flash-latest", options={"thinking": "level", "max_event_bytes": 3_000_000})
    )
    body = sent(dialect.build(low, stream=True).request)
    assert body["generationConfig"] == {"thinkingConfig": {"thinkingLevel": "LOW"}}
    text = "x" * 2_000_000
    event = json.dumps({"candidates": [{"content": {"parts": [{"text": text}]}}]}).encode()
    assert TextDelta(text) in dialect.decoder().feed(b"data: " + event + b"\r\n\r\n")


def test_answers_and_refusals_are_read() -> None:
    dialect = Google(target())
    answer = dialect.completion(
        b'{"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}]}'
    )
    assert (answer.choices[0].text, answer.choices[0].finish) == ("hi", "stop")
    assert dialect.fault(Answer(503, {}, b"")).kind is FaultClass.OVERLOADED

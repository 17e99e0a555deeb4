"""Text completions: how they are read from a client, asked of a vendor, and told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llm_dispatcher.runtime.canon import Choice, Completion, Message, Prompt, Request, Text, Usage
from llm_dispatcher.runtime.dialects import Dialect, Target, Unsupported, dialect_class
from llm_dispatcher.runtime.dialects.base import InvalidBody
from llm_dispatcher.runtime.dialects.formats.completions import reply
from llm_dispatcher.runtime.dialects.formats.completions.request import read
from llm_dispatcher.runtime.operations import operation_of

TEXT = Request(model="x", messages=[Message("user", "Once")], prompt=Prompt())


def dialect(name: str = "openai", url: str = "https://v.example/v1", **more: Any) -> Dialect:
    more.setdefault("operations", frozenset({"completions"}))
    return dialect_class(name)(Target(vendor="v", base_url=url, model="m", key="k", **more))


def asked(of: Dialect, request: Request = TEXT, *, stream: bool = False) -> tuple[str, dict[str, Any]]:
    built = operation_of(request).build(of, request, stream=stream)
    return str(built.request.url), json.loads(built.request.read())


def test_a_client_request_says_in_the_vendors_own_interface_what_it_said_in_ours() -> None:
    body = {
        "model": "m", "prompt": "Once", "suffix": "end", "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "n": 2,
        "logprobs": 3, "echo": True, "stop": ["x"], "presence_penalty": 0.1, "frequency_penalty": 0.2, "best_of": 4,
        "seed": 7, "user": "u", "logit_bias": {"1": 2},
    }  # fmt: skip
    (request,) = read(json.dumps(body).encode()).requests
    assert asked(dialect(), request) == ("https://v.example/v1/completions", body)
    streamed = asked(dialect(), request, stream=True)[1]
    assert streamed == body | {"stream": True, "stream_options": {"include_usage": True}}


def test_each_prompt_becomes_a_request_of_its_own() -> None:
    wanted = read(b'{"model": "m", "prompt": ["a", "b"], "n": 2}')
    assert [each.messages[0].content for each in wanted.requests] == ["a", "b"]
    tokens = read(b'{"model": "m", "prompt": [[1, 2], [3]]}').requests
    assert [each.prompt.tokens for each in tokens if each.prompt is not None] == [[1, 2], [3]]
    (single,) = read(b'{"model": "m", "prompt": [1, 2]}').requests
    assert asked(dialect(), single)[1]["prompt"] == [1, 2]
    assert operation_of(single).facts(single, 100).input_tokens >= 2


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [1.5]}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": ["a", "b"], "stream": True}, "stream"),
        ({"prompt": ["a"] * 65, "n": 2}, "prompt"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"logprobs": True}, "logprobs"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(change: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        read(json.dumps({"model": "m", "prompt": "a", **change}).encode())
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("url", "path", "address"),
    [
        ("https://api.mistral.ai/v1", "fim/completions", "https://api.mistral.ai/v1/fim/completions"),
        ("https://api.deepseek.com/v1", "/beta/completions", "https://api.deepseek.com/beta/completions"),
    ],
)
def test_a_vendor_may_have_its_interface_elsewhere(url: str, path: str, address: str) -> None:
    assert asked(dialect(url=url, options={"completions": {"path": path}}))[0] == address
    with pytest.raises(ValueError, match="may have a `path`"):
        dialect(options={"completions": {"paths": path}})


def test_azure_has_it_at_the_deployments_address() -> None:
    address = "https://a.example/openai/deployments/m/completions?api-version=2024-10-21"
    assert asked(dialect("azure", "https://a.example"))[0] == address


def test_a_model_that_only_chats_is_asked_in_a_chat() -> None:
    chatting = dialect(operations=frozenset({"chat"}))
    url, body = asked(chatting)
    assert url == "https://v.example/v1/chat/completions"
    assert body == {"model": "m", "messages": [{"role": "user", "content": "Once"}]}


@pytest.mark.parametrize(
    ("prompt", "feature"),
    [
        (Prompt(suffix="end"), "suffix"),
        (Prompt(echo=True), "echo"),
        (Prompt(logprobs=0), "logprobs"),
        (Prompt(best_of=2), "best_of"),
    ],
)
def test_what_has_no_meaning_in_a_chat_is_refused_or_named(prompt: Prompt, feature: str) -> None:
    request = Request(model="x", messages=[Message("user", "Once")], prompt=prompt)
    operation, chat = operation_of(request), frozenset({"chat"})
    with pytest.raises(Unsupported, match=feature):
        operation.build(dialect(operations=chat), request, stream=False)
    assert operation.build(dialect(operations=chat, lenient=True), request, stream=False).dropped == (
        feature,
    )
    with pytest.raises(Unsupported, match="tokens"):
        asked(
            dialect(operations=chat, lenient=True), Request(model="x", messages=[], prompt=Prompt(tokens=[1]))
        )


def test_a_stream_that_broke_is_gone_on_with_from_where_it_broke() -> None:
    request = Request(
        model="x", messages=[Message("user", "Once "), Message("assistant", "upon a")], prompt=Prompt()
    )
    assert asked(dialect(), request)[1]["prompt"] == "Once upon a"


def test_a_gap_filled_by_mistral_is_read_as_the_chat_that_it_looks_like() -> None:
    body = {"choices": [{"index": 0, "message": {"content": "x = 1"}, "finish_reason": "stop"}]}
    assert reply.read(json.dumps(body).encode()).choices[0].text == "x = 1"


def test_the_answers_to_several_prompts_are_counted_on() -> None:
    def said(*texts: str) -> Completion:
        choices = [Choice(index=n, parts=[Text(text)], finish="stop") for n, text in enumerate(texts)]
        return Completion(choices=choices, usage=Usage(2, 3))

    told = reply.write([said("a", "b"), said("c", "d")], n=2, id="i", model="m", created=1)
    assert [(each["index"], each["text"]) for each in told["choices"]] == list(enumerate("abcd"))
    assert (told["usage"]["prompt_tokens"], told["usage"]["completion_tokens"]) == (4, 6)

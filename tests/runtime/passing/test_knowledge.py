"""What every dialect sends itself is recognised when a client sends it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from llm_dispatcher.actors.mailbox import Mailbox
from llm_dispatcher.runtime.canon import Message, Request
from llm_dispatcher.runtime.config.schema import Model, Timeouts
from llm_dispatcher.runtime.deployment import Deployment
from llm_dispatcher.runtime.dialects import Target, dialect_class, dialect_names
from llm_dispatcher.runtime.passing.knowledge import Interface, interface_of
from llm_dispatcher.runtime.passing.passage import Passage
from llm_dispatcher.runtime.vectors import Embed

ROOTS = {"bedrock": "https://bedrock-runtime.us-east-1.amazonaws.com", "google": "https://v.example/v1beta"}
KEYS = {"bedrock": "AKIA:secret"}
ASKED = Request(model="m", messages=[Message("user", "hi")], max_tokens=77)


def deployment(name: str, dialect: str, **model: Any) -> Deployment:
    target = Target(
        vendor="v",
        base_url=ROOTS.get(dialect, "https://v.example/v1"),
        model=f"{name}-id",
        key=KEYS.get(dialect, "k"),
        lenient=True,
        operations=model.get("operations", frozenset({"chat"})),
    )
    return Deployment(
        name=f"v/{name}",
        vendor="v",
        model=Model(name=name, **model),
        dialect=dialect_class(dialect)(target),
        transport=httpx.MockTransport(lambda _: httpx.Response(200)),
        timeouts=Timeouts(),
        mailbox=Mailbox("v"),
    )


def passage(interface: Interface, request: httpx.Request, **changes: Any) -> Passage:
    root = interface.base.raw_path.rstrip(b"/")
    asked: dict[str, Any] = {
        "vendor": "v",
        "model": interface.whole,
        "method": "POST",
        "path": request.url.raw_path.partition(b"?")[0].removeprefix(root).lstrip(b"/"),
        "body": request.read(),
    }
    return interface.recognised(Passage(**{**asked, **changes}))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", sorted(dialect_names()))
def test_what_a_dialect_sends_is_recognised(dialect: str, stream: bool) -> None:
    mine = [deployment("a", dialect), deployment("b", dialect)]
    interface = interface_of("v", mine)
    for each in mine:
        found = passage(interface, each.dialect.build(ASKED, stream=stream).request)
        assert found.model == each.name
        assert found.known is not None
        assert (found.known.streamed, found.known.priced) == (stream, True)
        assert 0 < found.known.input_tokens < 1000
        assert callable(found.known.decoder().feed)


def test_embeddings_are_recognised_too() -> None:
    mine = deployment("e", "openai", operations=frozenset({"embeddings"}))
    interface = interface_of("v", [mine])
    assert mine.dialect.embedder is not None
    found = passage(interface, mine.dialect.embedder.build(Embed(model="e", inputs=["x"])).request)
    assert found.known is not None
    assert (found.model, found.known.output_tokens, found.repeatable) == ("v/e", 0, True)
    usage = found.known.usage(b'{"data": [{"index": 0, "embedding": [1.0]}], "usage": {"prompt_tokens": 3}}')
    assert usage is not None
    assert usage.input_tokens == 3


@pytest.mark.parametrize(
    ("changes", "known", "model"),
    [
        ({}, True, "v/a"),
        ({"path": b"v1/chat/completions"}, True, "v/a"),
        ({"path": b"v7beta/chat/completions"}, True, "v/a"),
        ({"body": b'{"model": "a-id", "max_completion_tokens": 5, "stream": true}'}, True, "v/a"),
        ({"body": b'{"model": "somebody"}'}, True, "v/*"),
        ({"body": b"{}"}, True, "v/*"),
        ({"body": b"{"}, False, "v/*"),
        ({"method": "GET"}, False, "v/*"),
        ({"path": b"chat/completions/x"}, False, "v/*"),
        ({"path": b"files"}, False, "v/*"),
    ],
)
def test_only_what_is_the_same_is_recognised(changes: dict[str, Any], known: bool, model: str) -> None:
    mine = deployment("a", "openai")
    found = passage(interface_of("v", [mine]), mine.dialect.build(ASKED, stream=False).request, **changes)
    assert (found.known is not None, found.model) == (known, model)
    assert found.repeatable is (known or "method" in changes)

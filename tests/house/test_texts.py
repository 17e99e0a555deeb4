"""Text completions through the house in virtual time: asked in a vendor's own interface, or in a chat."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from llm_dispatcher.runtime import Dispatcher, Message, Prompt, Request, TextDelta, errors
from trio.testing import MockClock

from tests.fakes.scripted import Script, ScriptedTransport, answer, status, stream

TEXT = Request(model="m", messages=[Message("user", "Once")], prompt=Prompt())


def text(said: str, finish: str = "stop") -> Script:
    """A whole text completion."""
    choice = {"index": 0, "text": said, "finish_reason": finish, "logprobs": None}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return Script(
        pieces=[json.dumps({"id": "c", "model": "m", "choices": [choice], "usage": usage}).encode()]
    )


def pieces(*texts: str) -> Script:
    """A streamed one."""
    chunks = [{"choices": [{"index": 0, "text": each, "finish_reason": None}]} for each in texts]
    chunks.append({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
    return Script(
        pieces=[*[b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks], b"data: [DONE]\n\n"]
    )


@asynccontextmanager
async def house(base: ScriptedTransport, chat: ScriptedTransport) -> AsyncIterator[Dispatcher]:
    """A vendor that completes texts, and behind it one that chats."""
    vendors = [
        {
            "name": name,
            "base_url": f"http://{name}.example/v1",
            "api_key": "k",
            "models": [{"name": "m", "operations": [operation]}],
        }
        for name, operation in (("base", "completions"), ("chat", "chat"))
    ]
    transports = {"base": base, "chat": chat}
    async with Dispatcher.open(
        {"vendors": vendors}, transports=transports, rng=random.Random(1)
    ) as dispatcher:
        yield dispatcher


async def test_a_chat_stands_in_for_a_vendor_that_fails(autojump_clock: MockClock) -> None:
    base, chat = ScriptedTransport(status(500)), ScriptedTransport(answer("upon a time"))
    async with house(base, chat) as dispatcher:
        reply = await dispatcher.send(TEXT)
    assert (reply.text, reply.vendor, len(reply.attempts)) == ("upon a time", "chat", 2)
    assert base.sent[0][1] == {"model": "m", "prompt": "Once"}
    assert chat.sent[0][1] == {"model": "m", "messages": [{"role": "user", "content": "Once"}]}


async def test_a_stream_is_taken_over_before_its_first_word(autojump_clock: MockClock) -> None:
    async def said(base: Script, chat: Script) -> list[str]:
        vendors = ScriptedTransport(base), ScriptedTransport(chat)
        async with house(*vendors) as dispatcher, dispatcher.stream(TEXT) as events:
            return [event.text async for event in events if isinstance(event, TextDelta) and event.text]

    assert await said(pieces("upon", " a", " time"), stream("no")) == ["upon", " a", " time"]
    assert await said(status(503), stream("up", "on")) == ["up", "on"]


async def test_a_base_model_may_have_nothing_to_add_and_a_chat_may_not(autojump_clock: MockClock) -> None:
    chat = ScriptedTransport(answer("more"))
    for silent in (text(""), pieces()):
        async with house(ScriptedTransport(silent), chat) as dispatcher, dispatcher.stream(TEXT) as events:
            assert [event.text async for event in events if isinstance(event, TextDelta)] in ([], [""])
    async with house(ScriptedTransport(text("")), chat) as dispatcher:
        assert (await dispatcher.send(TEXT)).text == ""
    assert chat.sent == []
    async with house(ScriptedTransport(status(500)), ScriptedTransport(answer(""))) as dispatcher:
        with pytest.raises(errors.ProtocolError):
            await dispatcher.send(TEXT)


@pytest.mark.parametrize("wish", [{"suffix": "end"}, {"echo": True}, {"logprobs": 1}, {"tokens": [1, 2]}])
async def test_what_only_a_text_interface_can_say_goes_to_nobody_else(
    autojump_clock: MockClock, wish: dict[str, Any]
) -> None:
    request = Request(model="m", messages=[Message("user", "")], prompt=Prompt(**wish))
    chat = ScriptedTransport(answer("no"))
    async with house(ScriptedTransport(text("yes")), chat) as dispatcher:
        assert (await dispatcher.send(request)).text == "yes"
    async with house(ScriptedTransport(status(500)), chat) as dispatcher:
        with pytest.raises(errors.DispatchError):
            await dispatcher.send(request)
    assert chat.sent == []


async def test_a_model_that_only_completes_texts_is_not_chatted_with(autojump_clock: MockClock) -> None:
    base = ScriptedTransport(text("no"))
    async with house(base, ScriptedTransport(answer("hello"))) as dispatcher:
        assert (await dispatcher.send(Request(model="m", messages=[Message("user", "hi")]))).vendor == "chat"
        with pytest.raises(errors.RequestRejected, match="'base/m' does not do chat; these do: m"):
            await dispatcher.send(Request(model="base/m", messages=[Message("user", "hi")]))
    assert base.sent == []

"""Vendors whose streams are no server-sent events, over real sockets: whole, cut anywhere, and broken off."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime import Dispatcher, DispatchError, Message, Request, TextDelta
from llm_dispatcher.runtime.canon import Usage
from llm_dispatcher.runtime.stream import EventStream

from tests.corpus import Recording
from tests.fakes.eventstream import event, exception
from tests.fakes.replaying import ReplayingVendor

SAID = ["Il pleut ", "à ", "verse", "."]
ASK = Request(model="m", messages=[Message("user", "Météo ?")], timeout=20)

CONVERSE = [
    event("messageStart", {"role": "assistant"}),
    *(event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}}) for text in SAID),
    event("messageStop", {"stopReason": "end_turn"}),
    event("metadata", {"usage": {"inputTokens": 5, "outputTokens": 7, "totalTokens": 12}}),
]


def line(text: str, **more: Any) -> bytes:
    told = {"model": "m", "created_at": "2026-05-04T22:48:51Z", "message": {"content": text}, "done": False}
    return json.dumps({**told, **more}, ensure_ascii=False).encode() + b"\n"


OLLAMA = [
    *(line(text) for text in SAID),
    line("", done=True, done_reason="stop", prompt_eval_count=5, eval_count=7),
]
VENDORS: dict[str, tuple[list[bytes], dict[str, Any]]] = {
    "bedrock": (
        CONVERSE,
        {"dialect": "bedrock", "api_key": "AKID:secret", "options": {"region": "eu-west-3"}},
    ),
    "ollama": (OLLAMA, {"dialect": "ollama"}),
}


def recording(body: bytes) -> Recording:
    return Recording(
        name="made", vendor="v", operation="chat", stream=True, method="POST", url="", request_headers={},
        request_body=None, status=200, headers={}, body=body, chunks=[],
    )  # fmt: skip


@asynccontextmanager
async def served(name: str, body: bytes, seed: int = 1) -> AsyncIterator[tuple[Dispatcher, ReplayingVendor]]:
    vendor = ReplayingVendor([recording(body)], seed=seed)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(vendor.run)
        table = {
            "name": "v",
            "base_url": f"http://127.0.0.1:{port}/0",
            "models": [{"name": "m"}],
            **VENDORS[name][1],
        }
        async with Dispatcher.open({"vendors": [table], "retry": {"attempts": 1}}) as dispatcher:
            yield dispatcher, vendor
        nursery.cancel_scope.cancel()


async def text_of(events: EventStream) -> str:
    return "".join([each.text async for each in events if isinstance(each, TextDelta)])


@pytest.mark.parametrize("name", VENDORS)
async def test_a_stream_arrives_whole_in_whatever_pieces(name: str) -> None:
    for seed in range(3):
        async with served(name, b"".join(VENDORS[name][0]), seed) as (dispatcher, vendor):
            async with dispatcher.stream(ASK) as events:
                assert await text_of(events) == "".join(SAID)
            assert events.reply is not None
            assert events.reply.completion.usage == Usage(5, 7)
            head, _ = vendor.asked[0]
            assert ("AWS4-HMAC-SHA256 Credential=AKID/" in head) is (name == "bedrock")


async def streamed(dispatcher: Dispatcher) -> str:
    async with dispatcher.stream(ASK) as events:
        return await text_of(events)


@pytest.mark.parametrize("name", VENDORS)
async def test_a_stream_that_breaks_off_never_looks_complete(name: str) -> None:
    pieces = VENDORS[name][0]
    for count in (2, len(SAID)):
        body = b"".join(pieces[:count]) + pieces[count][:9]
        async with served(name, body) as (dispatcher, _):
            with pytest.raises(DispatchError) as caught:
                await streamed(dispatcher)
            assert caught.value.kind is FaultClass.TRUNCATED


async def test_an_exception_in_the_middle_of_bedrocks_stream_is_what_it_says() -> None:
    body = b"".join(CONVERSE[:3]) + exception("throttlingException", {"message": "Too many tokens"})
    async with served("bedrock", body) as (dispatcher, _):
        with pytest.raises(DispatchError, match="Too many tokens") as caught:
            await streamed(dispatcher)
        assert caught.value.kind is FaultClass.RATE_LIMITED

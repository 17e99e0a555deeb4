"""The simulated vendor's embeddings, and how it goes on with bare texts."""

from __future__ import annotations

import random
from typing import Any

import httpx
import msgspec
import pytest
from llm_dispatcher.runtime.config.schema import Faults, Limits, Simulation
from llm_dispatcher.runtime.config.units import TokenCount
from llm_dispatcher.runtime.simulated import SimulatedTransport
from trio.testing import MockClock

BASE = "https://simulated.invalid/v1"
ORDINARY = Simulation()
UNLIMITED = Limits()


async def ask(
    path: str, body: dict[str, Any], simulation: Simulation = ORDINARY, limits: Limits = UNLIMITED
) -> tuple[int, Any]:
    vendor = SimulatedTransport(simulation, rng=random.Random(1), limits=limits)
    request = httpx.Request("POST", f"{BASE}/{path}", content=msgspec.json.encode({"model": "sim", **body}))
    response = await vendor.handle_async_request(request)
    raw = await response.aread()
    return response.status_code, msgspec.json.decode(raw) if b"data: " not in raw else raw


async def vectors(*texts: Any, **more: Any) -> list[list[float]]:
    status, answer = await ask("embeddings", {"input": list(texts), **more})
    assert status == 200
    return [each["embedding"] for each in answer["data"]]


def likeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_the_same_text_has_the_same_vector_of_length_one(autojump_clock: MockClock) -> None:
    one, other, third = await vectors("A note.", "A note.", "Something else")
    assert one == other != third
    assert await vectors("A note.") == [one]
    assert likeness(one, one) == pytest.approx(1)
    assert [len(each) for each in await vectors("a", dimensions=7)] == [7]


async def test_texts_that_share_words_are_near_to_one_another(autojump_clock: MockClock) -> None:
    asked, near, far = await vectors(
        "where is the old bridge", "The old bridge is closed", "Eggs, milk, flour"
    )
    assert likeness(asked, near) > 0.4 > 0.3 > likeness(asked, far)


async def test_tokens_have_vectors_too_and_are_counted(autojump_clock: MockClock) -> None:
    _, answer = await ask("embeddings", {"input": [[1, 2, 3], [4]]})
    assert (len(answer["data"]), answer["usage"]) == (2, {"prompt_tokens": 4, "total_tokens": 4})


@pytest.mark.parametrize("given", [[], [""], ["a", 1.5], {"a": 1}, ["x"] * 2049])
async def test_what_is_no_input_is_refused_with_400(autojump_clock: MockClock, given: Any) -> None:
    status, answer = await ask("embeddings", {"input": given})
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")


async def test_embeddings_meet_limits_and_mishaps_as_chats_do(autojump_clock: MockClock) -> None:
    body = {"input": ["text " * 100]}
    assert (await ask("embeddings", body, Simulation(faults=Faults(overloaded=1.0))))[0] == 503
    limits = Limits(tokens_per_minute=TokenCount(60))
    vendor = SimulatedTransport(ORDINARY, rng=random.Random(1), limits=limits)
    content = msgspec.json.encode({"model": "sim", **body})
    answers = [
        await vendor.handle_async_request(httpx.Request("POST", f"{BASE}/embeddings", content=content))
        for _ in range(2)
    ]
    assert [each.status_code for each in answers] == [200, 429]


async def test_a_bare_text_is_gone_on_with_whole_and_in_pieces(autojump_clock: MockClock) -> None:
    body = {"prompt": "Once upon a time", "max_tokens": 6, "seed": 3}
    status, answer = await ask("completions", body)
    assert (status, answer["object"], answer["usage"]["completion_tokens"]) == (200, "text_completion", 6)
    _, raw = await ask("completions", {**body, "stream": True})
    chunks = [msgspec.json.decode(line[6:]) for line in raw.split(b"\n\n")[:-2]]
    assert "".join(each["choices"][0]["text"] for each in chunks) == answer["choices"][0]["text"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"

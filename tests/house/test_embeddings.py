"""Embeddings through the whole house in virtual time: who is asked, in how many calls, and what becomes of faults."""

from __future__ import annotations

import json
import random
from array import array
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest
import trio
from llm_dispatcher.runtime import Dispatcher, Embed, Message, Request, Usage, errors
from trio.testing import MockClock

WIDTH = 3


def vector(text: str) -> list[float]:
    """A vector that tells whose it is, exact as 32-bit floats."""
    return [float(len(text)), float(sum(text.encode()) % 1024), 0.5]


class VectorVendor(httpx.AsyncBaseTransport):
    """Answers embedding requests; `spoil` may answer one in its place, by the call's number and body."""

    def __init__(self, spoil: Callable[[int, dict[str, Any]], httpx.Response | None] | None = None) -> None:
        self.calls: list[dict[str, Any]] = []
        self.under_way = self.most_under_way = 0
        self.seconds: Callable[[dict[str, Any]], float] = lambda _: 1.0
        self.tokens: Callable[[str], int] = len
        self._spoil = spoil

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(b"".join([piece async for piece in request.stream]))  # type: ignore[union-attr]
        self.calls.append(body)
        number = len(self.calls)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await trio.sleep(self.seconds(body))
        finally:
            self.under_way -= 1
        spoilt = None if self._spoil is None else self._spoil(number, body)
        return spoilt or answer(body, self.tokens)


def answer(body: dict[str, Any], counted: Callable[[str], int] = len) -> httpx.Response:
    data = [
        {"object": "embedding", "index": index, "embedding": said(vector(text), body)}
        for index, text in enumerate(body["input"])
    ]
    # In any order: the index tells whose a vector is.
    random.Random(1).shuffle(data)
    tokens = sum(counted(text) for text in body["input"])
    return httpx.Response(
        200, json={"object": "list", "data": data, "model": body["model"], "usage": {"prompt_tokens": tokens}}
    )


def said(numbers: list[float], body: dict[str, Any]) -> list[float] | str:
    if body.get("encoding_format") != "base64":
        return numbers
    return b64encode(array("f", numbers).tobytes()).decode()


def refusal(status: int) -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": "no"}})


def served(name: str, *models: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "base_url": f"http://{name}.example/v1",
        "api_key": "k",
        "models": list(models),
        **more,
    }


def embedding(name: str = "e", **more: Any) -> dict[str, Any]:
    return {"name": name, "operations": ["embeddings"], "context": 8192, "price": {"input": 1}, **more}


@asynccontextmanager
async def house(config: dict[str, Any], **vendors: VectorVendor) -> AsyncIterator[Dispatcher]:
    async with Dispatcher.open(config, transports=vendors, rng=random.Random(1)) as dispatcher:
        yield dispatcher
        await trio.testing.wait_all_tasks_blocked()
        for snapshot in (await dispatcher.standing()).values():
            assert all(each.in_flight == 0 for each in snapshot.deployments.values())
    assert all(vendor.under_way == 0 for vendor in vendors.values())


def small(**limits: int) -> dict[str, Any]:
    return {"options": {"embeddings": limits}}


TEXTS = [f"text {number}" * (number + 1) for number in range(10)]


async def test_the_vectors_come_in_the_order_of_their_inputs_with_usage_and_cost(
    autojump_clock: MockClock,
) -> None:
    vendor = VectorVendor()
    async with house({"vendors": [served("a", embedding())]}, a=vendor) as dispatcher:
        reply = await dispatcher.embed(Embed(model="e", inputs=TEXTS))
    assert reply.vectors == [vector(text) for text in TEXTS]
    tokens = sum(len(text) for text in TEXTS)
    assert reply.usage == Usage(input_tokens=tokens)
    assert reply.cost == Decimal(tokens) / 1_000_000
    assert (reply.vendor, reply.deployment, reply.model, len(reply.attempts)) == ("a", "a/e", "e", 1)


async def test_more_inputs_than_a_vendor_takes_are_sent_in_several_calls(autojump_clock: MockClock) -> None:
    vendor = VectorVendor()
    async with house({"vendors": [served("a", embedding(), **small(most_inputs=3))]}, a=vendor) as dispatcher:
        reply = await dispatcher.embed(Embed(model="e", inputs=TEXTS))
        await trio.testing.wait_all_tasks_blocked()
        statistics = dispatcher.statistics()
    assert reply.vectors == [vector(text) for text in TEXTS]
    assert sorted(len(call["input"]) for call in vendor.calls) == [1, 3, 3, 3]
    tokens = sum(len(text) for text in TEXTS)
    assert reply.usage == Usage(input_tokens=tokens)
    assert reply.cost == Decimal(tokens) / 1_000_000
    assert len(reply.attempts) == 4
    assert (statistics.requests, statistics.totals.attempts) == (1, 4)


async def test_no_call_holds_more_tokens_than_a_limit_allows_in_a_minute(autojump_clock: MockClock) -> None:
    vendor = VectorVendor()
    texts = ["word " * 70 for _ in range(10)]  # about a hundred tokens each
    vendor.tokens = lambda text: len(text) // 4
    limits = {"limits": {"tokens_per_minute": 900}}
    async with house({"vendors": [served("a", embedding(), **limits)]}, a=vendor) as dispatcher:
        reply = await dispatcher.embed(Embed(model="e", inputs=texts))
    assert len(reply.vectors) == 10
    assert max(len(call["input"]) for call in vendor.calls) == 4


async def test_no_more_than_four_calls_of_one_request_are_under_way_at_once(
    autojump_clock: MockClock,
) -> None:
    vendor = VectorVendor()
    async with house({"vendors": [served("a", embedding(), **small(most_inputs=1))]}, a=vendor) as dispatcher:
        await dispatcher.embed(Embed(model="e", inputs=TEXTS))
    assert vendor.most_under_way == 4
    assert trio.current_time() < 4


async def test_a_part_that_fails_is_sent_again_alone(autojump_clock: MockClock) -> None:
    vendor = VectorVendor(lambda number, _: refusal(500) if number == 2 else None)
    async with house({"vendors": [served("a", embedding(), **small(most_inputs=5))]}, a=vendor) as dispatcher:
        reply = await dispatcher.embed(Embed(model="e", inputs=TEXTS))
    assert reply.vectors == [vector(text) for text in TEXTS]
    assert len(vendor.calls) == len(reply.attempts) == 3


async def test_what_was_spent_is_booked_when_one_part_fails_for_good(autojump_clock: MockClock) -> None:
    bad = TEXTS[9]
    vendor = VectorVendor(lambda _, body: refusal(400) if bad in body["input"] else None)
    vendor.seconds = lambda body: 1.0 + (bad in body["input"])
    config = {"vendors": [served("a", embedding(), **small(most_inputs=3))]}
    async with house(config, a=vendor) as dispatcher:
        with pytest.raises(errors.RequestRejected) as failed:
            await dispatcher.embed(Embed(model="e", inputs=TEXTS))
        await trio.testing.wait_all_tasks_blocked()
        statistics = dispatcher.statistics()
    tokens = sum(len(text) for text in TEXTS[:9])
    assert len(failed.value.attempts) == 4
    assert failed.value.attempts[-1].fault == "bad_request"
    assert (statistics.requests, statistics.totals.cost) == (1, Decimal(tokens) / 1_000_000)


async def test_the_other_parts_are_broken_off_when_one_is_refused(autojump_clock: MockClock) -> None:
    vendor = VectorVendor(lambda number, _: refusal(400) if number == 1 else None)
    async with house({"vendors": [served("a", embedding(), **small(most_inputs=1))]}, a=vendor) as dispatcher:
        with pytest.raises(errors.RequestRejected):
            await dispatcher.embed(Embed(model="e", inputs=TEXTS))
    assert len(vendor.calls) == 4


async def test_a_vendor_that_fails_is_replaced_by_another_that_serves_the_same_model(
    autojump_clock: MockClock,
) -> None:
    broken, other, foreign = VectorVendor(lambda *_: refusal(500)), VectorVendor(), VectorVendor()
    config = {
        "vendors": [
            served("a", embedding()),
            served("b", embedding(id="other-name")),
            served("c", embedding("f")),
        ]
    }
    async with house(config, a=broken, b=other, c=foreign) as dispatcher:
        reply = await dispatcher.embed(Embed(model="e", inputs=TEXTS))
    assert (reply.vendor, other.calls[0]["model"], foreign.calls) == ("b", "other-name", [])


async def test_a_mode_and_a_chat_model_make_no_vectors_and_say_who_does(autojump_clock: MockClock) -> None:
    config = {"vendors": [served("a", embedding(), {"name": "talker"})]}
    async with house(config, a=VectorVendor()) as dispatcher:
        for name in ("talker", "auto"):
            with pytest.raises(
                errors.RequestRejected, match="does not do embeddings; these do: e"
            ) as refused:
                await dispatcher.embed(Embed(model=name, inputs=["x"]))
            assert (refused.value.code, refused.value.status) == ("unsupported_operation", 400)


async def test_an_embedding_model_does_not_chat(autojump_clock: MockClock) -> None:
    config = {"vendors": [served("a", embedding(), {"name": "talker"})]}
    async with house(config, a=VectorVendor()) as dispatcher:
        with pytest.raises(errors.RequestRejected, match="'e' does not do chat; these do: talker"):
            await dispatcher.send(Request(model="e", messages=[Message("user", "hello")]))


def mixed(**more: Any) -> dict[str, Any]:
    route = {"name": "any", "targets": ["e", "f"], "mixed_embeddings": True}
    vendors = [served("a", embedding("e"), **small(most_inputs=4)), served("b", embedding("f"))]
    return {"vendors": vendors, "routes": [route | more]}


async def test_all_parts_of_one_reply_are_of_one_model_on_a_route_that_mixes_them(
    autojump_clock: MockClock,
) -> None:
    # The first call finds `a` down, and so `b` makes all vectors, though `a` is well again.
    first = VectorVendor(lambda number, _: refusal(500) if number == 1 else None)
    second = VectorVendor()
    async with house(mixed(), a=first, b=second) as dispatcher:
        reply = await dispatcher.embed(Embed(model="any", inputs=TEXTS))
    assert reply.model == "f"
    assert {call["model"] for call in second.calls} == {"f"}
    assert (len(first.calls), len(second.calls)) == (1, 3)


def test_a_route_over_different_embedding_models_has_to_say_so() -> None:
    with pytest.raises(Exception, match="e, f are different embedding models"):
        Dispatcher.open(mixed(mixed_embeddings=False))


def spoilt(change: Callable[[list[Any]], object]) -> Callable[[int, dict[str, Any]], httpx.Response]:
    def spoil(_: int, body: dict[str, Any]) -> httpx.Response:
        data = json.loads(answer(body).content)
        data["data"].sort(key=lambda item: item["index"])
        change(data["data"])
        return httpx.Response(200, content=json.dumps(data).encode())

    return spoil


@pytest.mark.parametrize(
    "change",
    [
        list.pop,
        list.clear,
        lambda data: data[0].update(embedding=[]),
        lambda data: data[0].update(embedding=[1.0]),
        lambda data: data[0].update(index=1),
        lambda data: data[0].update(embedding=b64encode(array("f", [1, float("nan"), 1]).tobytes()).decode()),
        lambda data: data[0].update(embedding=b64encode(array("f", [1, float("inf"), 1]).tobytes()).decode()),
        lambda data: data[0].update(embedding="AAA="),
        lambda data: data[0].update(embedding=None),
    ],
    ids=[
        "one missing",
        "none",
        "empty",
        "too short",
        "one place twice",
        "not a number",
        "infinite",
        "odd bytes",
        "null",
    ],
)
async def test_vectors_that_are_not_those_of_the_inputs_are_a_malformed_answer(
    autojump_clock: MockClock, change: Callable[[list[Any]], object]
) -> None:
    async with house({"vendors": [served("a", embedding())]}, a=VectorVendor(spoilt(change))) as dispatcher:
        with pytest.raises(errors.ProtocolError) as failed:
            await dispatcher.embed(Embed(model="e", inputs=["one", "two", "three"]))
    assert failed.value.attempts[0].fault == "malformed"


async def test_tokens_go_to_a_vendor_that_takes_them_and_are_refused_elsewhere(
    autojump_clock: MockClock,
) -> None:
    takes = VectorVendor(lambda _, body: answer(body | {"input": ["x" for _ in body["input"]]}))
    config = {
        "vendors": [
            served("a", embedding()),
            served("b", embedding(), **small(tokens=1) | {"options": {"embeddings": {"tokens": True}}}),
        ]
    }
    async with house(config, a=VectorVendor(), b=takes) as dispatcher:
        await dispatcher.embed(Embed(model="e", inputs=[[1, 2], [3]]))
        with pytest.raises(
            errors.RequestRejected, match="an input of tokens is not supported here; send it as text"
        ):
            await dispatcher.embed(Embed(model="a/e", inputs=[[1, 2], [3]]))
    assert takes.calls[0]["input"] == [[1, 2], [3]]


async def test_a_whole_batch_that_a_context_window_would_not_hold_is_no_reason_to_refuse_it(
    autojump_clock: MockClock,
) -> None:
    texts = ["word " * 1000 for _ in range(40)]
    async with house({"vendors": [served("a", embedding())]}, a=VectorVendor()) as dispatcher:
        assert len((await dispatcher.embed(Embed(model="e", inputs=texts))).vectors) == 40
        with pytest.raises(errors.RequestRejected, match="no deployment"):
            await dispatcher.embed(Embed(model="e", inputs=["word " * 10_000]))


async def test_the_deadline_is_one_for_all_parts(autojump_clock: MockClock) -> None:
    vendor = VectorVendor()
    config = {"vendors": [served("a", embedding(), **small(most_inputs=1))]}
    async with house(config, a=vendor) as dispatcher:
        with pytest.raises(errors.DeadlinePassed):
            await dispatcher.embed(Embed(model="e", inputs=TEXTS, timeout=2.5))
        assert trio.current_time() == pytest.approx(2.5)
        await trio.testing.wait_all_tasks_blocked()
        assert dispatcher.statistics().requests == 1


@pytest.mark.parametrize("count", [0, 10_001])
async def test_no_input_and_too_many_are_refused_at_once(autojump_clock: MockClock, count: int) -> None:
    vendor = VectorVendor()
    async with house({"vendors": [served("a", embedding())]}, a=vendor) as dispatcher:
        with pytest.raises(errors.RequestRejected, match="between 1 and 10000 inputs"):
            await dispatcher.embed(Embed(model="e", inputs=["x"] * count))
    assert vendor.calls == []


async def test_a_server_that_passes_over_the_dimensions_is_well_and_another_is_asked(
    autojump_clock: MockClock,
) -> None:
    ignoring, cutting = VectorVendor(), VectorVendor(lambda _, body: cut_to(body["dimensions"], body))
    config = {"vendors": [served("a", embedding()), served("b", embedding())]}
    async with house(config, a=ignoring, b=cutting) as dispatcher:
        for _ in range(6):
            reply = await dispatcher.embed(Embed(model="e", inputs=TEXTS, dimensions=2))
            assert (reply.vendor, {len(each) for each in reply.vectors}) == ("b", {2})
        with pytest.raises(errors.RequestRejected, match="have 3 dimensions, not 2") as refused:
            await dispatcher.embed(Embed(model="a/e", inputs=TEXTS, dimensions=2))
        standing = await dispatcher.standing()
    assert refused.value.param == "dimensions"
    assert standing["a"].deployments["a/e"].circuit == "closed"


def cut_to(dimensions: int, body: dict[str, Any]) -> httpx.Response:
    data = [
        {"index": index, "embedding": vector(text)[:dimensions]} for index, text in enumerate(body["input"])
    ]
    return httpx.Response(200, json={"data": data})


async def test_nothing_is_left_of_a_batch_whose_caller_leaves(autojump_clock: MockClock) -> None:
    vendor = VectorVendor()
    config = {"vendors": [served("a", embedding(), **small(most_inputs=1))]}
    async with house(config, a=vendor) as dispatcher:
        with trio.move_on_after(1.5):
            await dispatcher.embed(Embed(model="e", inputs=TEXTS))
        await trio.testing.wait_all_tasks_blocked()
        statistics = dispatcher.statistics()
    assert len(vendor.calls) == 8
    assert (statistics.requests, statistics.totals.attempts, statistics.totals.succeeded) == (1, 8, 4)


async def test_rules_send_embeddings_their_own_way(autojump_clock: MockClock) -> None:
    vendors = [served("a", embedding(), {"name": "talker"}), served("b", embedding())]
    rules = [{"kinds": ["chat"], "route": "talker"}, {"kinds": ["embeddings"], "route": "b/e"}]
    async with house({"vendors": vendors, "rules": rules}, a=VectorVendor(), b=VectorVendor()) as dispatcher:
        assert (await dispatcher.embed(Embed(model="e", inputs=["x"]))).vendor == "b"

"""An operator's orders in the running house, and what can be seen of it."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio
from llm_dispatcher.runtime import Dispatcher, Message, Request, errors
from llm_dispatcher.runtime.orders import OrderRefused
from trio.testing import MockClock

from tests.fakes.control import until
from tests.fakes.scripted import ScriptedTransport, answer, config, refuse, status

HELLO = Request(model="m", messages=[Message("user", "hello")], timeout=30)


def opened(*vendors: str, a: ScriptedTransport | None = None, **more: Any) -> Dispatcher:
    transports = {name: ScriptedTransport(answer()) for name in vendors}
    if a is not None:
        transports["a"] = a
    return Dispatcher.open(config(*vendors, **more), transports=transports, rng=random.Random(1))


async def test_an_isolated_vendor_gets_no_traffic_until_it_is_ordered_otherwise(
    autojump_clock: MockClock,
) -> None:
    async with opened("a", "b") as house:
        assert (await house.send(HELLO)).vendor == "a"
        snapshot = await house.order("a", "isolate")
        assert snapshot.deployments["a/m"].circuit == "isolated"
        assert {(await house.send(HELLO)).vendor for _ in range(5)} == {"b"}
        await trio.sleep(3600)
        assert (await house.send(HELLO)).vendor == "b"
        await house.order("a/m", "automatic")
        # It proves itself by the little traffic that it is offered.
        assert [(await house.send(HELLO)).vendor for _ in range(100)].count("a") >= 3
        assert (await house.standing())["a"].deployments["a/m"].circuit == "closed"


async def test_a_circuit_that_is_forced_closed_lets_every_failure_through(autojump_clock: MockClock) -> None:
    a = ScriptedTransport(status(500))
    async with opened("a", a=a, retry={"attempts": 1}) as house:
        await house.order("a", "force_closed")
        for _ in range(20):
            with pytest.raises(errors.VendorFailed):
                await house.send(HELLO)
        assert (await house.standing())["a"].deployments["a/m"].circuit == "forced_closed"
    assert len(a.sent) == 20


async def test_an_order_about_a_model_is_about_it_under_every_key(autojump_clock: MockClock) -> None:
    written = config("a")
    del written["vendors"][0]["api_key"]
    written["vendors"][0]["api_keys"] = ["k1", "k2"]
    async with Dispatcher.open(written, transports={"a": ScriptedTransport(answer())}) as house:
        both = (await house.order("a/m", "isolate")).deployments
        assert {name: each.circuit for name, each in both.items()} == {"a/m": "isolated", "a/m#2": "isolated"}
        one = (await house.order("a/m#2", "automatic")).deployments
        assert {name: each.circuit for name, each in one.items()} == {"a/m": "isolated", "a/m#2": "half_open"}


async def test_lifting_ends_a_cooldown(autojump_clock: MockClock) -> None:
    a = ScriptedTransport(status(401), answer())
    async with opened("a", a=a) as house:
        with pytest.raises(errors.Unauthorized):
            await house.send(HELLO)
        with pytest.raises(errors.NoVendor):
            await house.send(HELLO)
        await house.order("a", "lift")
        assert (await house.send(HELLO)).vendor == "a"


async def test_an_order_to_nobody_and_one_that_there_is_not_say_what_there_is(
    autojump_clock: MockClock,
) -> None:
    async with opened("a", "b") as house:
        for target, order, status_, words in (
            ("c", "isolate", 404, "a, b, a/m, b/m"),
            ("a/x", "isolate", 404, "a, b, a/m, b/m"),
            ("a", "explode", 400, "isolate, force_closed, automatic, lift"),
        ):
            with pytest.raises(OrderRefused, match=words) as refused:
                await house.order(target, order)
            assert refused.value.status == status_
    with pytest.raises(RuntimeError, match="not running"):
        await house.order("a", "isolate")


async def test_a_vendors_actor_that_is_set_aside_is_brought_back_by_hand(autojump_clock: MockClock) -> None:
    supervision = {"most_restarts": 1, "quarantine": "1h"}
    async with opened("a", "b", supervision=supervision) as house:
        mailbox = house._mailboxes["vendor a"]
        for crashes in (1, 2):
            mailbox.tell(object())  # type: ignore[arg-type]  # a letter that it cannot read
            await until(lambda: house.actors()["vendor a"].crashes == crashes)  # noqa: B023
        await until(lambda: house.actors()["vendor a"].state == "quarantined")
        assert house.actors()["vendor a"].rests_for > 3500
        assert set(await house.standing()) == {"b"}
        assert (await house.send(HELLO)).vendor == "b"
        for order in ("isolate", "force_closed", "automatic"):
            with pytest.raises(OrderRefused, match="lift") as refused:
                await house.order("a", order)
            assert refused.value.status == 409
        snapshot = await house.order("a", "lift")
        assert snapshot.deployments["a/m"].circuit == "closed"
        assert house.actors()["vendor a"].state == "alive"
        assert (await house.send(HELLO)).vendor == "a"


async def test_who_waits_can_be_seen(autojump_clock: MockClock) -> None:
    written = config("a")
    written["vendors"][0]["limits"] = {"concurrent": 1}
    transports = {"a": ScriptedTransport(answer(after=5))}
    async with Dispatcher.open(written, transports=transports) as house, trio.open_nursery() as callers:
        assert house.waiting() == {}
        for _ in range(4):
            callers.start_soon(house.send, HELLO)
        await trio.sleep(2)
        (line,) = house.waiting().values()
        assert list(house.waiting()) == ["a/m"]
        assert (line.waiting, line.tenants) == (3, 1)
        assert 1 < line.oldest <= 2


async def test_our_own_network_and_the_budgets_can_be_seen(autojump_clock: MockClock) -> None:
    transports = {name: ScriptedTransport(refuse()) for name in "ab"}
    hedging = {"share": 0.5}
    async with Dispatcher.open(config("a", "b", hedging=hedging), transports=transports) as house:
        assert not house.network().down
        before = house.budgets()
        assert before.retries == 60
        assert set(before.retries_by_class) == {"critical_plus", "critical", "sheddable_plus", "sheddable"}
        with pytest.raises(errors.DispatchError):
            await house.send(HELLO)
        await trio.sleep(0.5)
        network = house.network()
        assert (network.down, network.outages) == (True, 1)
        assert network.down_for is not None
        assert network.retry_in is not None
        assert 0 < network.down_for <= 1
        assert 0 <= network.retry_in <= 1
        after = house.budgets()
        assert after.retries < before.retries
        assert after.retries_by_class["critical"] < after.retries_by_class["sheddable"] == 60
        assert after.hedges == before.hedges == 1

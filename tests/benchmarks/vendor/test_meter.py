"""The vendor's books: exactly what was generated, sent and billed, whoever ends an answer and whenever."""

from __future__ import annotations

from decimal import Decimal

import httpx
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.benchmarks.vendor import (
    Billing,
    Delays,
    MemoryNetwork,
    Script,
    ScriptedVendor,
    Step,
    Stop,
)
from llm_dispatcher.benchmarks.vendor.meter import input_tokens, masked
from llm_dispatcher.runtime import Dispatcher, Message, Request
from llm_dispatcher.runtime.wire.client import TrioTransport
from trio.testing import MockClock

from tests.benchmarks.vendor import HELLO, simulated

PACE = Script(default=Step(tokens=10, delay=Delays(before_head=1, first_event=1, between=1)))


@pytest.mark.parametrize("format", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_pays_for_what_was_generated_until_then(
    autojump_clock: MockClock, format: str, stream: bool
) -> None:
    """The first token comes after two seconds, and then one a second; the client leaves halfway between."""
    for seconds in range(12):
        async with simulated(PACE) as world:
            with trio.move_on_after(seconds + 0.5):
                await world.ask(format=format, stream=stream)
            await world.vendor.wait_idle()
            (attempt,) = world.vendor.history
            whole = seconds == 11
            assert attempt.outcome == ("complete" if whole else "client_closed")
            assert attempt.client_closed_at == (None if whole else attempt.at + seconds + 0.5)
            assert attempt.generated_tokens == attempt.billed_output == max(0, seconds - 1)
            assert attempt.sent_tokens == (attempt.generated_tokens if stream or whole else 0)
            assert attempt.billed_input == 3
            assert attempt.delivered is whole


@given(characters=st.integers(0, 10**6))
def test_input_is_all_characters_by_four_rounded_up(characters: int) -> None:
    assert input_tokens(characters) * 4 - characters in range(4)


async def test_all_texts_of_a_request_are_input(autojump_clock: MockClock) -> None:
    async with simulated() as world:
        for format in ("openai", "anthropic", "gemini"):  # noqa: A001 - the field's word
            for text in ("", "abcd", "abcde", "ä" * 400):
                await world.ask(format=format, text=text)
                assert world.vendor.history[-1].input_tokens == -(-len(text) // 4)


async def test_bills_follow_the_outcome_and_the_step_before_it(autojump_clock: MockClock) -> None:
    script = Script(
        billing=Billing(broken="input"),
        steps=[
            Step(tokens=4),
            Step(error="overloaded"),
            Step(tokens=4, stop=Stop(after_tokens=2, how="end")),
            Step(tokens=4, stop=Stop(after_tokens=2, how="end"), bill="nothing"),
            Step(error="gateway_timeout", tokens=7, bill="generated"),
        ],
    )
    async with simulated(script) as world:
        for _ in script.steps:
            await world.ask()
        billed = [(each.billed_input, each.billed_output) for each in world.vendor.history]
        assert billed == [(3, 4), (0, 0), (3, 0), (0, 0), (3, 7)]
        total = world.vendor.meter.total
        assert (total.attempts, total.complete, total.refused, total.broken) == (5, 1, 2, 2)
        assert (total.input_tokens, total.output_tokens) == (9, 11)


async def test_the_history_is_bounded_and_the_sums_are_not(autojump_clock: MockClock) -> None:
    async with simulated(Script(default=Step(tokens=1)), history=3) as world:
        for number in range(7):
            await world.ask(model=f"m{number % 2}", key="k" * number)
        assert [each.number for each in world.vendor.history] == [5, 6, 7]
        assert [each.number for each in world.vendor.meter.last(2)] == [6, 7]
        assert world.vendor.meter.total.output_tokens == 7
        assert {name: each.attempts for name, each in world.vendor.meter.by_model.items()} == {
            "m0": 4,
            "m1": 3,
        }


async def test_equal_requests_have_equal_digests(autojump_clock: MockClock) -> None:
    async with simulated() as world:
        for text in ("a", "b", "a"):
            await world.ask(text=text)
        one, other, again = [each.digest for each in world.vendor.history]
        assert one == again != other


def test_keys_that_may_be_real_are_not_shown() -> None:
    assert masked("key-1") == "key-1"
    assert masked("sk-proj-abcdefghijklmnop") == "sk-p...mnop"


async def test_the_vendor_itself_may_be_ended_in_the_middle(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as clients:
        async with trio.open_nursery() as nursery:
            vendor = ScriptedVendor(PACE)
            network = MemoryNetwork({"v": vendor}, nursery)
            transport = TrioTransport(dial=network.dial)

            async def ask() -> None:
                body = b'{"model": "m", "messages": [], "stream": true}'
                request = httpx.Request("POST", "http://v/v1/chat/completions", content=body)
                response = await transport.handle_async_request(request)
                with pytest.raises(httpx.RemoteProtocolError):
                    await response.aread()
                await response.aclose()

            clients.start_soon(ask)
            await trio.sleep(4.5)
            nursery.cancel_scope.cancel()
        (attempt,) = vendor.history
        assert (attempt.outcome, attempt.generated_tokens, attempt.finished_at) == ("broken", 3, 4.5)
        assert vendor.open == 0


# --- the dispatcher's spend against the vendor's meter --------------------------------------------


def configuration(dialect: str, path: str) -> dict[str, object]:
    model = {"name": "m", "price": {"input": "1", "output": "2"}}
    vendor = {
        "name": "v",
        "dialect": dialect,
        "base_url": f"http://v{path}",
        "api_key": "k",
        "models": [model],
    }
    return {"vendors": [vendor], "retry": {"backoff": {"base": 0, "cap": 0}}}


@pytest.mark.parametrize(
    ("dialect", "path"), [("openai", "/v1"), ("anthropic", "/v1"), ("google", "/v1beta")]
)
@settings(max_examples=5, deadline=None)
@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_what_the_dispatcher_books_is_what_the_vendor_bills(
    dialect: str, path: str, counts: list[int]
) -> None:
    async def play() -> tuple[Decimal, ScriptedVendor]:
        vendor = ScriptedVendor(Script(steps=[Step(tokens=count) for count in counts]))
        spent = Decimal(0)
        async with trio.open_nursery() as nursery:
            network = MemoryNetwork({"v": vendor}, nursery)
            transports = {"v": TrioTransport(dial=network.dial)}
            async with Dispatcher.open(configuration(dialect, path), transports=transports) as dispatcher:
                for number in range(len(counts)):
                    request = Request(model="m", messages=[Message("user", HELLO * number or "?")])
                    if number % 2:
                        async with dispatcher.stream(request) as events:
                            async for _ in events:
                                pass
                        reply = events.reply
                    else:
                        reply = await dispatcher.send(request)
                    assert reply is not None
                    assert reply.cost is not None
                    spent += reply.cost
            nursery.cancel_scope.cancel()
        return spent, vendor

    spent, vendor = trio.run(play, clock=MockClock(autojump_threshold=0))
    total = vendor.meter.total
    assert total.output_tokens == sum(counts)
    assert spent == (Decimal(total.input_tokens) + 2 * Decimal(total.output_tokens)) / 1_000_000

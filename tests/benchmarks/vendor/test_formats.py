"""The vendor's formats are those that the product's dialects speak: two independent readings of the same interfaces."""

from __future__ import annotations

from typing import get_args

import pytest
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.benchmarks.vendor import FORMATS, ErrorEvent, Script, Step
from llm_dispatcher.benchmarks.vendor.script import ErrorKind
from llm_dispatcher.runtime.canon import Failed, Finished, TextDelta, UsageReported
from llm_dispatcher.runtime.dialects import Target, dialect_class
from llm_dispatcher.runtime.vectors import Embed, flaw_in
from trio.testing import MockClock

from tests.benchmarks.vendor import HELLO, as_answer, simulated

NAMES = list(FORMATS)


@pytest.mark.parametrize("format", NAMES)
async def test_a_stream_says_the_text_the_finish_and_exactly_the_tokens_of_the_books(
    autojump_clock: MockClock, format: str
) -> None:
    async with simulated(Script(default=Step(tokens=17))) as world:
        events = await world.events(format)
        texts = [event.text for event in events if isinstance(event, TextDelta) and event.text]
        usage = [event.usage for event in events if isinstance(event, UsageReported)][-1]
        assert len(texts) == 17
        assert [event.reason for event in events if isinstance(event, Finished)] == ["stop"]
        attempt = world.vendor.history[0]
        assert (
            (usage.input_tokens, usage.output_tokens)
            == (attempt.billed_input, attempt.billed_output)
            == (3, 17)
        )


@pytest.mark.parametrize("format", NAMES)
async def test_a_whole_answer_agrees_with_its_books(autojump_clock: MockClock, format: str) -> None:
    async with simulated(Script(default=Step(text="Nothing but the truth"))) as world:
        seen = await world.ask(format=format, stream=False)
        completion = world.dialect(format).completion(seen.body)
        usage = completion.usage
        assert usage is not None
        assert completion.choices[0].text == "Nothing but the truth"
        attempt = world.vendor.history[0]
        assert (
            (usage.input_tokens, usage.output_tokens)
            == (attempt.billed_input, attempt.billed_output)
            == (3, 5)
        )


@pytest.mark.parametrize("format", NAMES)
@pytest.mark.parametrize("stream", [True, False])
async def test_no_answer_is_longer_than_the_request_allows(
    autojump_clock: MockClock, format: str, stream: bool
) -> None:
    async with simulated(Script(default=Step(tokens=50))) as world:
        seen = await world.ask(format=format, stream=stream, most=7)
        assert any(word in seen.body for word in (b'"length"', b'"max_tokens"', b'"MAX_TOKENS"'))
        assert world.vendor.history[0].sent_tokens == 7


MEANINGS = {
    "auth": FaultClass.AUTH,
    "bad_gateway": FaultClass.SERVER_ERROR,
    "bad_request": FaultClass.BAD_REQUEST,
    "context_length": FaultClass.CONTEXT_LENGTH,
    "gateway_timeout": FaultClass.SERVER_ERROR,
    "insufficient_quota": FaultClass.QUOTA_EXHAUSTED,
    "invalid_parameter": FaultClass.BAD_REQUEST,
    "no_model": FaultClass.NO_MODEL,
    "overloaded": FaultClass.OVERLOADED,
    "rate_limited": FaultClass.RATE_LIMITED,
    "server_error": FaultClass.SERVER_ERROR,
    "too_large": FaultClass.TOO_LARGE,
}
"""Errors that mean the same in each format, and what the product has to make of them."""


@pytest.mark.parametrize("format", NAMES)
@pytest.mark.parametrize("kind", MEANINGS)
async def test_errors_by_name_are_recognised_for_what_they_are(
    autojump_clock: MockClock, format: str, kind: ErrorKind
) -> None:
    async with simulated(Script(default=Step(error=kind))) as world:
        seen = await world.ask(format=format)
        assert world.dialect(format).fault(as_answer(seen)).kind is MEANINGS[kind]
        assert world.vendor.meter.total.refused == 1
        assert world.vendor.meter.total.input_tokens == 0


@pytest.mark.parametrize(
    ("format", "kind", "meaning"),
    [
        ("gemini", "gemini_per_day", FaultClass.DAILY_LIMIT),
        ("openai", "gemini_per_day", FaultClass.DAILY_LIMIT),
        ("openai", "concurrency_limited", FaultClass.CONCURRENCY_LIMITED),
        ("anthropic", "concurrency_limited", FaultClass.CONCURRENCY_LIMITED),
        ("openai", "slow_down", FaultClass.RAMP_LIMITED),
        ("anthropic", "slow_down", FaultClass.RAMP_LIMITED),
        ("openai", "request_too_large", FaultClass.TOO_LARGE),
        ("openai", "refused", FaultClass.REFUSED),
    ],
)
async def test_errors_of_one_vendor_are_recognised_for_what_they_are(
    autojump_clock: MockClock, format: str, kind: ErrorKind, meaning: FaultClass
) -> None:
    async with simulated(Script(default=Step(error=kind, retry_after=36))) as world:
        seen = await world.ask(format=format)
        assert world.dialect(format).fault(as_answer(seen)).kind is meaning


@pytest.mark.parametrize("format", NAMES)
async def test_an_overload_within_a_stream_is_recognised(autojump_clock: MockClock, format: str) -> None:
    async with simulated(Script(default=Step(error_event=ErrorEvent(kind="overloaded")))) as world:
        (failed,) = [event for event in await world.events(format) if isinstance(event, Failed)]
        assert failed.fault.kind is FaultClass.OVERLOADED


def test_each_format_knows_each_kind_of_error() -> None:
    for each in FORMATS.values():
        assert set(each.errors) == set(get_args(ErrorKind))


@pytest.mark.parametrize("format", NAMES)
async def test_what_cannot_be_read_is_refused_in_the_vendors_words(
    autojump_clock: MockClock, format: str
) -> None:
    async with simulated() as world:
        built = world.request(format=format)
        for content in (b"{", b"[]", b"{}", b'{"model": 3}'):
            headers = [each for each in built.headers.raw if each[0].lower() != b"content-length"]
            length = (b"content-length", b"%d" % len(content))
            request = type(built)(built.method, built.url, headers=[*headers, length], content=content)
            response = await world.transport.handle_async_request(request)
            assert response.status_code == 400
            assert b'"error"' in await response.aread()


async def test_models_that_the_script_does_not_name_are_unknown(autojump_clock: MockClock) -> None:
    async with simulated(Script(models=["m"])) as world:
        assert (await world.ask(model="other")).status == 404
        assert (await world.ask(model="m")).status == 200


async def test_embeddings_are_made_billed_and_limited_as_answers_are(autojump_clock: MockClock) -> None:
    script = Script(steps=[Step(error="overloaded")], default=Step(omit=[]))
    place = {"vendor": "v", "model": "m", "key": "k", "operations": frozenset({"embeddings"})}
    async with simulated(script) as world:
        dialect = dialect_class("openai")(Target(base_url=f"{world.origin}/v1", **place))  # type: ignore[arg-type]
        half, wanted = dialect.embedder, Embed(model="m", inputs=[HELLO, "hello you too"])
        assert half is not None
        answers = []
        for _ in range(2):
            response = await world.transport.handle_async_request(half.build(wanted).request)
            answers.append((response.status_code, await response.aread()))
        await world.vendor.wait_idle()
        assert [status for status, _ in answers] == [503, 200]
        found = half.embeddings(answers[1][1], wanted)
        assert flaw_in(found.vectors, wanted) is None
        attempt = world.vendor.history[1]
        assert found.usage is not None
        assert found.usage.input_tokens == attempt.billed_input > 0
        assert (attempt.billed_output, attempt.outcome) == (0, "complete")

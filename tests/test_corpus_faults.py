"""Every recorded failure is recognised as the class that it was judged to be."""

from __future__ import annotations

from collections import Counter

import pytest
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime.canon import Failed, Fault
from llm_dispatcher.runtime.dialects import Answer, Dialect, Target, dialect_class

from .corpus import Recording, needs_corpus
from .corpus.judgements import failures, judged

pytestmark = [needs_corpus, pytest.mark.slow]

DIALECTS = {
    "anthropic": "anthropic",
    "gemini": "google",
    "vertex": "vertex",
    "azure-openai": "azure",
    "cohere": "cohere",
    "bedrock": "bedrock",
}
"""Vendors that a dialect of their own speaks to; the others are reached through `dialect = "openai"`."""

RESPONSES = {"azure-openai": "azure-responses", "azure-ai": "azure-responses"}
"""The same for responses; the others are reached through `dialect = "openai-responses"`."""


def dialect_for(recording: Recording) -> Dialect:
    name = DIALECTS.get(recording.vendor, "openai")
    if recording.operation == "messages":
        name = "anthropic"
    elif recording.url.endswith("/api/chat"):
        name = "ollama"
    elif recording.operation == "responses":
        name = RESPONSES.get(recording.vendor, "openai-responses")
    return dialect_class(name)(
        Target(vendor=recording.vendor, base_url="https://vendor.test/v1", model="m", key="k")
    )


def recognised(recording: Recording) -> Fault | None:
    """What the product makes of a recorded failure."""
    dialect = dialect_for(recording)
    if recording.refused:
        return dialect.fault(Answer(recording.status, recording.headers, recording.body))
    decoder = dialect.decoder()
    events = [*decoder.feed(recording.body), *decoder.close()]
    return next((event.fault for event in events if isinstance(event, Failed)), None)


def test_every_recorded_failure_has_been_judged_and_nothing_else() -> None:
    assert {recording.name for recording in failures()} == set(judged())


def test_every_recorded_failure_is_recognised_as_what_it_is() -> None:
    expected = judged()
    tried: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    lines: list[str] = []
    for recording in failures():
        tried[recording.vendor] += 1
        fault = recognised(recording)
        kind = None if fault is None else fault.kind
        if kind is not expected[recording.name]:
            wrong[recording.vendor] += 1
            why = "no fault" if fault is None else f"{fault.kind.value} ({fault.because})"
            lines.append(f"{recording.name}: {why}, not {expected[recording.name].value}")
    counts = ", ".join(f"{vendor} {wrong[vendor]}/{count}" for vendor, count in sorted(tried.items()))
    assert not lines, "\n".join([f"wrong per vendor: {counts}", *lines])


def test_every_recorded_failure_says_how_it_was_recognised_and_gives_its_vendors_words() -> None:
    for recording in failures():
        fault = recognised(recording)
        assert fault is not None
        assert fault.by in ("status", "code", "message"), recording.name
        assert fault.because, recording.name
        assert fault.message, recording.name
        assert fault.retry_after is None or 0 <= fault.retry_after < 3600, recording.name
        assert (fault.day_ends_in is None) is (fault.kind is not FaultClass.DAILY_LIMIT), recording.name

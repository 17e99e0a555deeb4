"""Google's recorded answers against the oracle that reads them independently."""

from __future__ import annotations

import json
from itertools import pairwise
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime.assembly import Assembler
from llm_dispatcher.runtime.canon import Completion, Event, Failed
from llm_dispatcher.runtime.dialects.base import Answer
from llm_dispatcher.runtime.dialects.formats.generate_content import (
    StreamDecoder,
    read_completion,
    read_fault,
)

from tests.corpus import Expected, Recording, needs_corpus, recordings
from tests.corpus.oracle_generate_content import FOLDERS, expected, expected_fault

pytestmark = needs_corpus

EVERY = tuple(recordings(*FOLDERS))
STREAMS = tuple(recording for recording in EVERY if recording.stream and not recording.refused)


def events_of(recording: Recording, cuts: list[int]) -> list[Event]:
    decoder = StreamDecoder(Random(7))
    events: list[Event] = []
    edges = [0, *sorted(cuts), len(recording.body)]
    for start, stop in pairwise(edges):
        events += decoder.feed(recording.body[start:stop])
    return events + decoder.close()


def plain(answer: Completion) -> Expected:
    usage = answer.usage
    counted = ("input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens")
    heard = ("audio_input_tokens", "audio_output_tokens")
    return Expected(
        texts=[choice.text for choice in answer.choices],
        thinking=[choice.thinking for choice in answer.choices],
        tool_calls=[
            [(c.name, json.loads(c.arguments)) for c in choice.tool_calls] for choice in answer.choices
        ],
        finishes=[choice.vendor_finish for choice in answer.choices],
        usage=None if usage is None else {name: getattr(usage, name) for name in counted + heard},
        complete=all(choice.finish for choice in answer.choices),
    )


def assembled(events: list[Event]) -> Completion:
    assembler = Assembler()
    for event in events:
        assert not isinstance(event, Failed), event
        assembler.add(event)
    return assembler.completion()


def test_every_recording_is_there() -> None:
    assert len(EVERY) == 180
    assert len(STREAMS) == 66


def test_every_buffered_answer_is_as_the_oracle_reads_it() -> None:
    for recording in EVERY:
        if not recording.stream and not recording.refused:
            answer = read_completion(recording.body, Random(7))
            assert plain(answer) == expected(recording), recording.name
            ids = [call.id for choice in answer.choices for call in choice.tool_calls]
            assert len(ids) == len(set(ids)), recording.name
            assert all(ids), recording.name


def test_every_streamed_answer_is_as_the_oracle_reads_it_in_its_own_pieces_too() -> None:
    for recording in STREAMS:
        whole = events_of(recording, [])
        assert plain(assembled(whole)) == expected(recording), recording.name
        cuts = [sum(recording.chunks[:count]) for count in range(1, len(recording.chunks))]
        assert events_of(recording, cuts) == whole, recording.name


def test_some_streams_byte_by_byte() -> None:
    for recording in [stream for stream in STREAMS if len(stream.body) < 4000][:10]:
        assert events_of(recording, list(range(1, len(recording.body)))) == events_of(recording, [])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_where_the_network_cuts_makes_no_difference(data: st.DataObject) -> None:
    recording = data.draw(st.sampled_from(STREAMS))
    cuts = data.draw(st.lists(st.integers(0, len(recording.body)), max_size=15))
    assert events_of(recording, cuts) == events_of(recording, [])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_stream_cut_short_is_never_complete(data: st.DataObject) -> None:
    recording = data.draw(st.sampled_from(STREAMS))
    cut = data.draw(st.integers(0, len(recording.body.rstrip()) - 1))
    decoder = StreamDecoder(Random(7))
    events = decoder.feed(recording.body[:cut]) + decoder.close()
    last = events[-1]
    assert isinstance(last, Failed)
    assert last.fault.kind is FaultClass.TRUNCATED


def test_every_refusal_is_of_the_class_that_was_judged_by_hand() -> None:
    refused = [recording for recording in EVERY if recording.refused]
    assert len(refused) == 24
    for recording in refused:
        fault = read_fault(Answer(recording.status, recording.headers, recording.body))
        assert fault.kind is expected_fault(recording), recording.name

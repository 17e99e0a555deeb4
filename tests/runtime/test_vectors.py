"""Vectors in their two forms, and what is wrong with those that are none; batches that lose nothing."""

from __future__ import annotations

import math
import struct
from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.batches import split
from llm_dispatcher.runtime.dialects import BatchLimits
from llm_dispatcher.runtime.ending import Ending
from llm_dispatcher.runtime.operations.embeddings import EmbeddingsOperation, tokens_of
from llm_dispatcher.runtime.vectors import Embed, Vector, base64_of, flaw_in, floats_of, length_of, sound

SINGLE = st.floats(width=32, allow_nan=False, allow_infinity=False)
ANY_SINGLE = st.floats(width=32)


def packed(numbers: list[float]) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


@given(st.lists(SINGLE, min_size=1, max_size=20))
def test_both_forms_are_the_same_vector(numbers: list[float]) -> None:
    assert floats_of(packed(numbers)) == numbers
    assert b64decode(base64_of(packed(numbers))) == b64decode(base64_of(numbers)) == packed(numbers)
    assert length_of(packed(numbers)) == length_of(numbers) == len(numbers)


@given(st.lists(ANY_SINGLE, min_size=1, max_size=8))
def test_a_number_that_is_none_is_found_in_either_form(numbers: list[float]) -> None:
    assert sound(numbers) == sound(packed(numbers)) == all(math.isfinite(each) for each in numbers)


@pytest.mark.parametrize("number", [1e39, -1e39, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_number_that_32_bits_cannot_hold_is_found_wherever_it_stands(number: float, place: int) -> None:
    numbers = [0.5, 0.5, 0.5]
    numbers[place] = number
    assert not sound(numbers)


@pytest.mark.parametrize(
    ("vectors", "flaw"),
    [
        ([[1.0], [2.0]], None),
        ([packed([1.0]), [2.0]], None),
        ([[1.0]], "1 vectors came for 2 inputs"),
        ([[1.0], []], "a vector is empty"),
        ([[1.0], [1.0, 2.0]], "different lengths: [1, 2]"),
        ([[1.0], packed([math.nan])], "vector 1 holds"),
    ],
)
def test_vectors_that_are_not_those_of_the_inputs_are_told_from_those_that_are(
    vectors: list[Vector], flaw: str | None
) -> None:
    found = flaw_in(vectors, Embed(model="m", inputs=["a", "b"]))
    assert (found is None) == (flaw is None)
    assert (flaw or "") in (found or "")


INPUTS = st.lists(st.text(max_size=60) | st.lists(st.integers(0, 9), max_size=60), min_size=1, max_size=60)


@given(INPUTS, st.integers(1, 12), st.none() | st.integers(1, 60))
def test_parts_hold_everything_in_order_and_no_more_than_they_may(
    inputs: list[Any], most: int, tokens: int | None
) -> None:
    parts = [inputs[each] for each in split(inputs, BatchLimits(most, tokens))]
    assert [each for part in parts for each in part] == inputs
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        size = sum(tokens_of(each) for each in part)
        assert 1 <= len(part) <= most
        assert tokens is None or size <= tokens or len(part) == 1
        if following is not None:
            # Nothing is split that would have fitted.
            full = tokens is not None and size + tokens_of(following[0]) > tokens
            assert len(part) == most or full


@given(st.integers(1, 5), st.lists(st.booleans(), min_size=1, max_size=5))
def test_of_a_requests_parts_one_tells_of_its_end(parts: int, failures: list[bool]) -> None:
    ending = Ending(parts)
    ends = [failed for failed in failures[:parts] if ending.reached(failed=failed)]
    over = any(failures[:parts]) or len(failures) >= parts
    assert ending.told == over
    assert ends == ([any(failures[:parts])] if over else [])


def test_the_size_of_a_request_is_estimated_by_its_bytes_and_by_its_longest_input() -> None:
    facts = EmbeddingsOperation().facts(Embed(model="m", inputs=["a" * 350, "日本語" * 10, "b"]), 1000)
    assert tokens_of("日本語" * 10) == 26
    assert (facts.input_tokens, facts.output_tokens, facts.window) == (101 + 26 + 1, 0, 101)
    assert EmbeddingsOperation().facts(Embed(model="m", inputs=[[1, 2, 3]]), 1000).input_tokens == 3

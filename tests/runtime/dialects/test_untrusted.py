"""JSON from strangers: what is read, how deep it may be, and which counts are believed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.dialects.untrusted import (
    DEEPEST,
    MOST_TOKENS,
    Unreadable,
    read_json,
    reader_of,
    token_count,
)


class Thing(msgspec.Struct):
    a: int = 0
    b: Any = None


read_thing = reader_of(Thing)


def deep(depth: int, *, objects: bool = False) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth if objects else b"[" * depth + b"]" * depth


@pytest.mark.parametrize("objects", [False, True])
def test_so_deep_and_no_deeper(objects: bool) -> None:
    assert read_json(deep(DEEPEST, objects=objects))
    for depth in (DEEPEST + 1, 500, 990, 100_000):
        with pytest.raises(Unreadable):
            read_json(deep(depth, objects=objects))


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert len(read_json(json.dumps([[{}]] * 5000).encode())) == 5000
    assert read_json(json.dumps({"text": "[{" * 5000}).encode()) == {"text": "[{" * 5000}


@pytest.mark.parametrize(
    "text", [b"", b"{", b"NaN", b'"\\ud800"', b'"\xff"', b"1e999", b"9" * 5000, b"[1]x", b"\xef\xbb\xbf{}"]
)
def test_what_is_no_json_has_one_exception(text: bytes) -> None:
    with pytest.raises(Unreadable):
        read_json(text)
    with pytest.raises(Unreadable):
        read_thing(text)


def test_a_value_of_another_kind_is_unreadable_too() -> None:
    assert read_thing(b'{"a": 1, "b": [2], "c": 3}') == Thing(1, [2])
    for text in (b'{"a": "1"}', b"[]", b'{"b":%b}' % deep(300), b'{"c":%b}' % deep(100_000)):
        with pytest.raises(Unreadable):
            read_thing(text)


@given(
    st.recursive(st.integers() | st.text(), lambda each: st.lists(each) | st.dictionaries(st.text(), each))
)
def test_everything_else_is_read_as_python_reads_it(value: Any) -> None:
    assert read_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (7, 7),
        (7.0, 7),
        (0, 0),
        (-1, 0),
        (True, 0),
        ("7", 0),
        (None, 0),
        (MOST_TOKENS, MOST_TOKENS),
        (10**30, 0),
    ],
)
def test_only_a_number_of_tokens_is_one(value: Any, count: int) -> None:
    assert token_count(value) == count

"""Errors' bodies in every shape, and in none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llm_dispatcher.runtime.dialects.error_text import read_error

from tests.fuzz.guard import cpu_limit


@pytest.mark.parametrize(
    ("detail", "message"),
    [
        ([{"loc": ["body", 1, "x"], "msg": "bad"}, {"msg": "worse"}], "body.1.x: bad; : worse"),
        ([{"loc": 0, "msg": "bad"}], ": bad"),
        ([{"loc": None, "msg": "bad"}], ": bad"),
        ("no", "no"),
        ([5], "[5]"),
    ],
)
def test_a_detail_is_told_in_words(detail: Any, message: str) -> None:
    assert read_error(json.dumps({"detail": detail}).encode()).message == message


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (b"<html><head><TITLE lang='en'>Bad gateway</Title></head>x</html>", "Bad gateway"),
        (b"<html><h1>Busy</h1> later</html>", "Busy"),
        (b"<html><p>only</p> text</html>", "only text"),
        (b"<html><title>never closed <p>x", "never closed x"),
    ],
)
def test_a_page_is_told_by_its_title(page: bytes, message: str) -> None:
    assert read_error(page).message == message


@pytest.mark.parametrize("unit", [b"<", b"<h1", b"<title>", b"<h1>x</h", b"[", b'{"a":'])
def test_the_worst_page_is_read_at_once(unit: bytes) -> None:
    with cpu_limit(1.0):
        read_error(unit * (65_536 // len(unit)))


@pytest.mark.parametrize("depth", [129, 950, 990, 100_000])
def test_what_is_nested_too_deeply_is_told_as_it_stands(depth: int) -> None:
    body = b'{"detail":%b}' % (b"[" * depth + b"]" * depth)
    assert read_error(body).message.startswith('{"detail":[[[')


def test_an_endless_code_is_cut() -> None:
    error = read_error(json.dumps({"error": {"message": "m", "code": ["x" * 60_000], "type": "t"}}).encode())
    assert error.code is not None
    assert len(error.code) < 2100

"""`.env` files: what they set, and that a broken one says where without showing what."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from llm_dispatcher.runtime.config import ConfigError
from llm_dispatcher.runtime.config.dotenv import parse_dotenv


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A=1", {"A": "1"}),
        ("export A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("  A = spaced out  ", {"A": "spaced out"}),
        ("# a comment\n\nA=1 # another\n", {"A": "1"}),
        ("A=sk#no-comment", {"A": "sk#no-comment"}),
        ("A=", {"A": ""}),
        ("A=#empty", {"A": ""}),
        ("A='single # \\n'  # comment", {"A": "single # \\n"}),
        ('A="double \\"quoted\\"\\n"', {"A": 'double "quoted"\n'}),
        ('A="two\nlines"\nB=2', {"A": "two\nlines", "B": "2"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=${B}", {"A": "${B}"}),
    ],
)
def test_variables_are_set_as_written(text: str, found: dict[str, str]) -> None:
    assert parse_dotenv(text, ".env") == found


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "A=1\nsk-secret",
            ".env: line 2: not of the form NAME=value\n    put a # before it to leave it out",
        ),
        ('A=1\n\nB="sk-secret\nC=2', '.env: line 3: the value of B has no closing "'),
        (
            "A='sk-secret' more",
            ".env: line 1: something follows the quoted value of A\n    quote it as a whole",
        ),
    ],
)
def test_a_broken_line_is_named_and_not_shown(text: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_dotenv(text, ".env")
    assert str(caught.value) == error


NAMES = st.from_regex(re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII), fullmatch=True)


@given(st.dictionaries(NAMES, st.text(st.characters(exclude_characters="'\r"))))
def test_single_quotes_carry_any_text(variables: dict[str, str]) -> None:
    text = "\n".join(f"{name}='{value}'" for name, value in variables.items())
    assert parse_dotenv(text, ".env") == variables


@given(st.text() | st.text("AB=\"' #\\\n\t$export"))
@example("A='")
@example("=")
def test_any_text_is_parsed_or_refused_in_order(text: str) -> None:
    outcome = found_or_error(text)
    if isinstance(outcome, ConfigError):
        assert outcome.problems[0].path.startswith("line ")
    else:
        assert all(isinstance(value, str) for value in outcome.values())


def found_or_error(text: str) -> dict[str, str] | ConfigError:
    try:
        return parse_dotenv(text, ".env")
    except ConfigError as error:
        return error

"""`${NAME}` in values: what it becomes, and what happens when there is nothing to become."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from llm_dispatcher.runtime.config.interpolation import expand, interpolate

ENVIRON = {"A": "one", "B": "two", "EMPTY": "", "SNEAKY": "${A}"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("$A and $ and {A}", "$A and $ and {A}"),
        ("${A}", "one"),
        ("<${A}${B}>", "<onetwo>"),
        ("${EMPTY}", ""),
        ("${EMPTY:-default}", "default"),
        ("${A:-default}", "one"),
        ("${NONE:-default}", "default"),
        ("${NONE:-}", ""),
        ("${NONE:-${B}}", "two"),
        ("${NONE:-${NEITHER:-third}}", "third"),
        ('${NONE:-{"json": {}}}', '{"json": {}}'),
        ("${NONE:-http://x:80}", "http://x:80"),
        ("$${A}", "${A}"),
        ("$${A} ${A} $${B}", "${A} one ${B}"),
        ("${SNEAKY}", "${A}"),
    ],
)
def test_variables_are_filled_in(text: str, filled: str) -> None:
    assert expand(text, ENVIRON).text == filled
    assert expand(text, ENVIRON).unset == ()


def test_what_is_unset_is_named_down_to_the_last_default() -> None:
    assert expand("${NONE:-${NEITHER}} ${NOR}", ENVIRON).unset == ("NONE", "NEITHER", "NOR")


@pytest.mark.parametrize("text", ["${", "${A", "${A:-${B}", "${}", "${1A}", "${A B}", "${:-x}", "${A:-" * 99])
def test_what_is_malformed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\$\{"):
        expand(text, ENVIRON)


def test_defaults_are_not_nested_without_end() -> None:
    with pytest.raises(ValueError, match="nested deeper"):
        expand("${NONE:-" * 99 + "}" * 99, ENVIRON)


def test_keys_are_left_alone() -> None:
    filled = interpolate({"${A}": "${A}", "deep": [{"${B}": ["${B}"]}]}, ENVIRON, "f")
    assert filled.values == {"${A}": "one", "deep": [{"${B}": ["two"]}]}
    assert filled.problems == ()


def test_an_unset_variable_is_a_problem_with_a_place_and_a_remedy() -> None:
    vendors = [{"name": "v", "api_key": "${NONE}"}, {"name": "w", "headers": {"x y": "${NONE:-${NOR}}"}}]
    problems = interpolate({"vendors": vendors}, ENVIRON, "f.toml").problems
    assert [str(problem) for problem in problems] == [
        "f.toml: vendors[0] (v).api_key: NONE is not set\n"
        "    set NONE in the environment or in .env, or write a default: ${NONE:-...}",
        'f.toml: vendors[1] (w).headers."x y": NONE or NOR are not set\n'
        "    set NONE or NOR in the environment or in .env, or write a default: ${NONE:-...}",
    ]


@pytest.mark.parametrize("serve", ["with_key", "never", "${SERVE:-with_key}"])
def test_a_vendor_that_needs_its_key_to_be_served_may_lack_it(serve: str) -> None:
    vendor = {
        "name": "v",
        "serve": serve,
        "api_key": "${KEY:-${OTHER}}",
        "api_keys": ["${A}", "${KEY_2}"],
        "base_url": "https://${REGION}.example.com",
    }
    filled = interpolate({"vendors": [vendor]}, ENVIRON, "f")
    assert filled.problems == ()
    assert filled.values["vendors"][0] == {
        "name": "v",
        "serve": expand(serve, {}).text,
        "api_key": "",
        "api_keys": ["one", ""],
        "base_url": "",
    }
    assert filled.missing == {
        "v": {"api_key": ("KEY", "OTHER"), "api_keys": ("KEY_2",), "base_url": ("REGION",)}
    }


def test_the_other_values_of_such_a_vendor_may_not() -> None:
    vendor = {"name": "v", "serve": "with_key", "models": [{"name": "${NONE}"}]}
    (problem,) = interpolate({"vendors": [vendor]}, ENVIRON, "f").problems
    assert problem.path == "vendors[0] (v).models[0] (${NONE}).name"


def test_a_table_that_holds_itself_is_one_problem() -> None:
    loop: list[Any] = []
    loop += [loop, loop]
    problems = interpolate({"vendors": loop}, {}, "f").problems
    assert [problem.message for problem in problems] == ["nested too deeply"]


def test_a_table_that_multiplies_itself_is_one_problem() -> None:
    many: list[Any] = ["x"]
    for _ in range(40):
        many = [many, many]
    problems = interpolate({"vendors": many}, {}, "f").problems
    assert [problem.message for problem in problems] == ["more than 200000 values"]


@given(st.text() | st.text("${}:-AB_ "), st.dictionaries(st.sampled_from("AB"), st.text()))
@example("${A:-${B:-}}}", {})
@example("$$${A}", {"A": "x"})
def test_any_text_is_filled_in_or_refused(text: str, environ: dict[str, str]) -> None:
    try:
        filled = expand(text, environ)
    except ValueError:
        assert "${" in text
    else:
        assert "${" in text or filled.text == text


@given(st.text())
def test_text_without_a_reference_stays_as_it_is_once_escaped(text: str) -> None:
    if not text.endswith("$"):
        assert expand(text.replace("${", "$${"), {}).text == text

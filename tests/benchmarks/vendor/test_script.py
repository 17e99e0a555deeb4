"""Scripts: which step an attempt meets, and what is wrong with a script is said where it is wrong."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.benchmarks.vendor import (
    ConnectionRule,
    Script,
    ScriptedVendor,
    ScriptError,
    Step,
    When,
    builtin_names,
    load,
    parse,
)
from llm_dispatcher.benchmarks.vendor.chance import Spread, draw
from llm_dispatcher.benchmarks.vendor.loading import builtin_text, parse_json, parse_toml
from llm_dispatcher.benchmarks.vendor.selection import Selector
from trio.testing import MockClock

from tests.benchmarks.vendor import simulated

RNG = random.Random(0)


def names(script: Script, *asked: dict[str, Any]) -> list[str]:
    """The names of the steps that these attempts meet."""
    selector = Selector(script)
    found = []
    for each in asked:
        fields: dict[str, Any] = {"model": "m", "key": "k", "stream": True, "elapsed": 0.0, "rng": RNG} | each
        selection = selector.select(**fields)
        selection.play()
        found.append(selection.step.name)
    return found


def test_steps_are_played_in_order_and_then_the_rules_and_else_the_default() -> None:
    script = Script(
        steps=[Step(name="a"), Step(name="b", times=2)],
        rules=[Step(name="r", when=When(model="x*")), Step(name="s", times=1)],
        default=Step(name="d"),
    )
    asked: list[dict[str, Any]] = [{}, {}, {}, {"model": "xy"}, {}, {}, {"model": "x"}]
    assert names(script, *asked) == ["a", "b", "b", "r", "s", "d", "r"]


def test_a_step_waits_for_an_attempt_that_it_matches() -> None:
    script = Script(
        steps=[Step(name="key", when=When(key="k2")), Step(name="plain", when=When(stream=False))],
        default=Step(name="d"),
    )
    asked: list[dict[str, Any]] = [{}, {"stream": False}, {"key": "k2"}, {"key": "k2"}]
    assert names(script, *asked) == ["d", "plain", "key", "d"]


def test_nth_counts_the_attempts_that_match_the_rest() -> None:
    script = Script(
        rules=[Step(name="second", when=When(model="a", nth=2)), Step(name="some", when=When(nth=[1, 4]))],
        default=Step(name="d"),
    )
    asked = [{"model": each} for each in "babab"]
    assert names(script, *asked) == ["some", "d", "d", "second", "d"]


def test_windows_begin_with_their_first_moment_and_end_before_their_last() -> None:
    script = Script(rules=[Step(name="w", when=When(from_=10, until=20))], default=Step(name="d"))
    asked = [{"elapsed": time} for time in (9.9, 10.0, 19.9, 20.0)]
    assert names(script, *asked) == ["d", "w", "w", "d"]


def test_chances_of_several_rules_add_up() -> None:
    script = Script(rules=[Step(name="a", chance=0.2), Step(name="b", chance=0.3)], default=Step(name="d"))
    counted = Counter(names(script, *[{}] * 20_000))
    assert counted["a"] == pytest.approx(4000, rel=0.1)
    assert counted["b"] == pytest.approx(6000, rel=0.1)
    assert counted["d"] == pytest.approx(10_000, rel=0.1)


def test_the_first_connection_rule_that_matches_decides() -> None:
    rules = [ConnectionRule(act="reset", nth=2), ConnectionRule(act="refuse", window=When(until=5))]
    selector = Selector(Script(connections=rules))
    acts = [selector.connection(time, RNG).act for time in (0, 1, 4, 5)]
    assert acts == ["refuse", "reset", "refuse", "accept"]
    assert (selector.closed(0), selector.closed(5)) == (True, False)
    assert (selector.next_change(0), selector.next_change(5)) == (5, None)


@given(low=st.floats(0, 10), width=st.floats(0, 10), seed=st.integers(0, 5))
def test_what_is_drawn_lies_within_its_bounds(low: float, width: float, seed: int) -> None:
    rng = random.Random(seed)
    assert low <= draw(Spread(uniform=(low, low + width)), rng) <= low + width
    assert 0 < draw(Spread(lognormal=(1 + low, 2.0), most=5.0), rng) <= 5.0
    assert draw("1m500ms", rng) == 60.5


def test_fixed_amounts_draw_nothing() -> None:
    rng = random.Random(1)
    before = rng.getstate()
    assert draw(0.3, rng) == 0.3
    assert rng.getstate() == before


async def test_another_script_begins_at_once_and_the_books_go_on(autojump_clock: MockClock) -> None:
    async with simulated(Script(default=Step(error="overloaded"))) as world:
        assert (await world.ask()).status == 503
        await trio.sleep(100)
        world.vendor.play(Script(rules=[Step(when=When(until=10), error="auth")]))
        assert (await world.ask()).status == 401
        await trio.sleep(10)
        assert (await world.ask()).status == 200
        assert [each.number for each in world.vendor.history] == [1, 2, 3]
        world.vendor.reset()
        assert (await world.ask()).status == 401
        assert [each.number for each in world.vendor.history] == [1]


# --- loading ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[steps]]\neror = 'auth'", "mine: steps[0].eror: unknown key; did you mean `error`?"),
        ("[[steps]]\nerror = 'rate_limit'", "mine: steps[0].error: 'rate_limit' is none of the choices; did you mean"),
        ("[default]\nstop = { how = 'eof' }", "mine: default.stop: give exactly one of"),
        ("[default]\nstop = { after_bytes = 1, where = 'mid_event' }", "mine: default.stop: `where` goes with"),
        ("[default]\ntimes = 2", "mine: `default` is what always remains"),
        ("[default]\nchance = 2", "mine: default.chance: Expected `float` <= 1"),
        ("[default]\ndelay = { between = 'soon' }", "mine: default.delay: `between`: 'soon' is not a duration"),
        ("[default]\ndelay = { between = -1 }", "mine: default.delay: `between` is at least 0"),
        ("[default]\ntokens = { uniform = [3, 1] }", "mine: default.tokens: `uniform` needs 0 <= low <= high"),
        ("[default]\ntokens = { most = 3 }", "mine: default.tokens: give either `uniform"),
        ("[default]\nbody = 'x'\njson = 3", "mine: default: give either `body` or `json`"),
        ("[[rules]]\nwhen = { from = 3, until = 3 }", "mine: rules[0].when: `until` must be later than `from`"),
        ("[[limits]]\nwhat = 'requests'\nmost = 0", "mine: limits[0].most: Expected `int` >= 1"),
        ("[[limits]]\nwhat = 'requests'\nmost = 1\nper = 0", "mine: limits[0]: `per` is a fixed time above 0"),
        ("[[connections]]\nact = 'refused'", "mine: connections[0].act: 'refused' is none of the choices; did you mean `refuse`?"),
        ("[[connections]]\nwindow = { model = 'x' }", "mine: connections[0]: `window` has only `from` and `until`"),
        ("[[steps", "mine: no TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_script_is_said_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ScriptError) as caught:
        parse_toml(text.encode(), "mine")
    assert str(caught.value).startswith(message)


def test_json_that_is_none_is_said_to_be_none() -> None:
    for text, message in ((b"{", "mine: no JSON"), (b"[]", "mine: Expected `object`, got `array`")):
        with pytest.raises(ScriptError) as caught:
            parse_json(text, "mine")
        assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", builtin_names())
def test_each_built_in_script_can_be_played_and_says_what_it_is(name: str) -> None:
    script = load(name)
    assert script.about
    assert builtin_text(name).startswith("about = ")
    assert parse(msgspec.to_builtins(script)) == script


def test_a_script_is_read_from_a_file_of_either_kind(tmp_path: Path) -> None:
    script = Script(steps=[Step(error="auth", when=When(from_=1, nth=[1, 2]))], seed=7)
    as_json = tmp_path / "mine.json"
    as_json.write_bytes(msgspec.json.encode(script))
    as_toml = tmp_path / "mine.toml"
    as_toml.write_text("seed = 7\n[[steps]]\nerror = 'auth'\nwhen = { from = 1, nth = [1, 2] }\n")
    assert load(str(as_json)) == load(str(as_toml)) == script


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("helthy", r"did you mean `healthy`\?"),
        ("nowhere.toml", "no such file"),
        ("script.ini", "unknown kind of file"),
    ],
)
def test_a_script_that_is_not_there_is_an_error_with_a_remedy(name: str, message: str) -> None:
    with pytest.raises(ScriptError, match=message):
        load(name)


async def test_a_vendor_speaks_only_formats_that_exist() -> None:
    with pytest.raises(ValueError, match="unknown format 'cohere'"):
        ScriptedVendor(formats=["cohere"])

"""What each cell of the matrix is held to, capability by capability."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from msgspec import Struct

from tests.fakes.vendors import Vendors
from tests.fakes.vendors.said import INPUT_TOKENS, OUTPUT_TOKENS, THOUGHT

from .absent import ABSENT, ABSENT_FOR
from .contract import Client, Heard
from .story import ENDLESS, HELLO, REFUSE, RESULT, City

__all__ = ["CHECKS", "Cell", "absence", "check"]


class Cell(Struct):
    """A client on a dialect."""

    client: Client
    dialect: str
    vendors: Vendors

    def expect(self, heard: Heard, *, text: str, finish: str | None, thought: str = "") -> None:
        """An answer of text alone, with the vendor's usage."""
        assert heard.text == text
        assert heard.calls == []
        assert heard.thought == thought
        assert heard.finish == finish
        assert heard.usage in (None, (INPUT_TOKENS, OUTPUT_TOKENS))


def _plain(cell: Cell) -> None:
    heard = cell.client.plain(cell.dialect, HELLO)
    cell.expect(heard, text=f"You said: {HELLO}", finish=cell.client.stop)


def _streamed(cell: Cell) -> None:
    heard = cell.client.streamed(cell.dialect, HELLO)
    cell.expect(heard, text=f"You said: {HELLO}", finish=cell.client.stop)


def _tools(cell: Cell) -> None:
    _called(cell, streamed=False)


def _tools_streamed(cell: Cell) -> None:
    _called(cell, streamed=True)


def _called(cell: Cell, *, streamed: bool) -> None:
    asked, answered = cell.client.tools(cell.dialect, streamed=streamed)
    [(name, arguments)] = asked.calls
    assert name == "weather"
    assert arguments.keys() == {"city", "days"}
    assert isinstance(arguments["city"], str)
    assert arguments["days"] in range(1, 8)
    assert asked.text == ""
    assert asked.finish == cell.client.called
    assert asked.usage in (None, (INPUT_TOKENS, OUTPUT_TOKENS))
    assert RESULT in answered.text
    cell.expect(answered, text=answered.text, finish=cell.client.stop)
    assert answered.text.startswith("The tool said: ")


def _structured(cell: Cell) -> None:
    found = cell.client.structured(cell.dialect)
    city = found if isinstance(found, City) else City.model_validate(found)
    assert city.name


def _image(cell: Cell) -> None:
    heard = cell.client.image(cell.dialect)
    cell.expect(heard, text="Images that I see: 1", finish=cell.client.stop)


def _thinking(cell: Cell) -> None:
    for streamed in (False, True):
        heard = cell.client.thinking(cell.dialect, streamed=streamed)
        cell.expect(heard, text=f"You said: {HELLO}", finish=cell.client.stop, thought=THOUGHT)


def _refused(cell: Cell) -> None:
    with pytest.raises(cell.client.errors[400], match="You asked for a 400"):
        cell.client.plain(cell.dialect, REFUSE)
    if "streamed" not in cell.client.lacks:
        with pytest.raises(cell.client.errors[400], match="You asked for a 400"):
            cell.client.streamed(cell.dialect, REFUSE)


def _limited(cell: Cell) -> None:
    with pytest.raises(cell.client.errors[429]):
        cell.client.plain(f"limited-{cell.dialect}", HELLO)


def _cancelled(cell: Cell) -> None:
    before = cell.vendors.left(cell.dialect)
    cell.client.cancelled(cell.dialect, ENDLESS)
    assert cell.vendors.await_left(cell.dialect, before), (
        "the vendor was listened to after the client had left"
    )


CHECKS: Mapping[str, Callable[[Cell], None]] = {
    "plain": _plain,
    "streamed": _streamed,
    "tools": _tools,
    "tools streamed": _tools_streamed,
    "structured": _structured,
    "image": _image,
    "thinking": _thinking,
    "refused": _refused,
    "limited": _limited,
    "cancelled": _cancelled,
}


def absence(client: Client, dialect: str, capability: str) -> str | None:
    """Why this cannot be had; None where it can."""
    return (
        client.lacks.get(capability)
        or ABSENT.get((dialect, capability))
        or ABSENT_FOR.get((client.name, dialect, capability))
    )


def check(cell: Cell, capability: str) -> None:
    """Raises `AssertionError`, or whatever the client raises. The vendor must have been asked as its interface has it."""
    cell.vendors.complaints.clear()
    try:
        CHECKS[capability](cell)
    except Exception as error:
        error.add_note(f"{capability} on {cell.dialect}; complaints there: {list(cell.vendors.complaints)}")
        raise
    assert list(cell.vendors.complaints) == []

"""What ends in the log, and what must not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
import structlog
from llm_dispatcher.runtime.logs import configure


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def stumble(key: str) -> None:
    raise ValueError(f"a key of {len(key)} letters")


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_traceback_shows_where_and_no_variables(
    style: Literal["text", "json"], capsys: pytest.CaptureFixture[str]
) -> None:
    configure("info", style)
    key = "sk-very-secret"
    try:
        stumble(key)
    except ValueError:
        structlog.get_logger("test").exception("it failed")
    written = capsys.readouterr().err
    assert "it failed" in written
    assert "a key of 14 letters" in written
    assert "in stumble" in written
    assert key not in written

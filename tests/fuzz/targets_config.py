"""What an owner may write: configurations in three formats, `.env`, `${}` and units."""

from __future__ import annotations

import atexit
import math
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
from llm_dispatcher.runtime.config import Config, ConfigError, load
from llm_dispatcher.runtime.config.dotenv import parse_dotenv
from llm_dispatcher.runtime.config.interpolation import expand
from llm_dispatcher.runtime.config.units import ByteCount, Seconds, TokenCount, Usd, decode

from . import seeds
from .target import Target

__all__ = ["targets"]

_HOME: Final = "tests/runtime/config/test_bad_configurations.py"


def targets() -> Iterator[Target]:
    """One for each format of the file, and one for each small language within it."""
    for suffix, bodies in seeds.CONFIGURATIONS.items():
        kind = "json" if suffix == "json" else "file"
        yield Target(
            f"config-{suffix}", kind, partial(_copy, bodies), partial(check_file, suffix), home=_HOME
        )
    yield Target(
        "dotenv", "file", lambda: seeds.DOTENV, check_dotenv, home="tests/runtime/config/test_dotenv.py"
    )
    yield Target(
        "interpolation",
        "bytes",
        lambda: [b"${A}", b"a ${B:-x${A:-{y}}} $${C}", b"${EMPTY:-${A}}${A}"],
        check_expand,
        home="tests/runtime/config/test_interpolation.py",
    )
    yield Target(
        "units",
        "bytes",
        lambda: [b"3", b"1m30s", b"250ms", b"16MiB", b"1_000k", b"$0.15", b"1e3", b"1.5 GB"],
        check_units,
        home="tests/runtime/config/test_units.py",
    )


def _copy(bodies: list[bytes]) -> list[bytes]:
    return list(bodies)


@cache
def _folder() -> Path:
    folder = TemporaryDirectory(prefix="fuzz-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def check_file(suffix: str, case: bytes) -> None:
    """The file is a configuration of sound numbers, or a `ConfigError` says what is wrong with it."""
    file = _folder() / f"dispatcher.{suffix}"
    file.write_bytes(case)
    try:
        loaded = load(file, environ={"A": "1", "KEY": "sk-1"}, directory=_folder())
    except ConfigError as refusal:
        assert refusal.problems
        assert all(problem.message for problem in refusal.problems)
        str(refusal).encode()
        return
    _sound(loaded.config)
    assert loaded.serving is not None


def _sound(config: Config) -> None:
    """Every number is finite, and the whole can be shown."""
    waiting: list[Any] = [msgspec.to_builtins(config, enc_hook=str)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting += node.values()
        elif isinstance(node, list | tuple):
            waiting += node
        else:
            assert not isinstance(node, float) or math.isfinite(node), f"{node} in a configuration"


def check_dotenv(case: bytes) -> None:
    """The variables, as texts without line ends of other systems, or a `ConfigError`."""
    text = case.decode("utf-8", "replace")
    try:
        found = parse_dotenv(text, ".env")
    except ConfigError as refusal:
        assert refusal.problems
        return
    assert all(name and isinstance(value, str) for name, value in found.items())


_ENVIRONMENT: Final = {"A": "1", "EMPTY": ""}


def check_expand(case: bytes) -> None:
    """A text, or a `ValueError`; nothing of the environment that was not asked for."""
    text = case.decode("utf-8", "replace")
    try:
        expanded = expand(text, _ENVIRONMENT)
    except ValueError:
        return
    assert len(expanded.text) <= len(text) + len(text) // 4


_UNITS: Final[tuple[tuple[Any, Callable[[Any], bool]], ...]] = (
    (Seconds, lambda value: 0 <= value < math.inf),
    (ByteCount, lambda value: value >= 0),
    (TokenCount, lambda value: value >= 0),
    (Usd, lambda value: value.is_finite() and 0 <= value < 10**18),
)


def check_units(case: bytes) -> None:
    """A number that can be calculated with, or a `ValueError` that says how it is written."""
    text = case.decode("utf-8", "replace")
    for kind, holds in _UNITS:
        for raw in (text, *_numbers(text)):
            try:
                value = decode(kind, raw)
            except ValueError as refusal:
                assert str(refusal)
                continue
            assert isinstance(value, kind)
            assert holds(value)
            assert float(value) < math.inf
            assert value * 1_000_000 >= value


def _numbers(text: str) -> list[Any]:
    try:
        return [float(text), int(float(text))]
    except (ValueError, OverflowError):
        return []

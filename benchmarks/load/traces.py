"""Recorded traffic: arrivals and sizes of real requests, from a CSV file. ::

    arrival_s,input_tokens,output_tokens
    0.000,374,44
    4.315,396,109

Columns are found by their names, in any order; others are passed over. Rows ascend by `arrival_s`, in seconds from any start:
the first row is where a replay begins. A file is read row by row while it is replayed, so its length does not matter;
what is wrong with it is found before the first request, by `check`.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

__all__ = ["COLUMNS", "Arrival", "Trace", "TraceError"]

COLUMNS: Final = ("arrival_s", "input_tokens", "output_tokens")

_MOST_TOKENS: Final = 10_000_000
"""More than any model takes; a larger number is a mistake."""


class TraceError(ValueError):
    """A trace cannot be used. The message names the file and the line."""


class Arrival(Struct, frozen=True, gc=False):
    """One request of a trace."""

    at: float
    """Seconds from the first one."""
    input_tokens: int
    output_tokens: int


class Trace(Struct, frozen=True):
    """A trace that has been checked, and what there is in it."""

    path: Path
    requests: int
    span: float
    """Seconds from the first arrival to the last."""

    @classmethod
    def check(cls, path: Path) -> Trace:
        """Read `path` through once. Raises `TraceError`."""
        requests, span = 0, 0.0
        for arrival in _rows(path):
            requests += 1
            span = arrival.at
        if not requests:
            raise TraceError(f"{path}: there is no request in it")
        return cls(path, requests, span)

    def arrivals(self, speed: float = 1.0) -> Iterator[Arrival]:
        """The requests, `speed` times as fast as they came."""
        if not 0 < speed < math.inf:
            raise ValueError(f"a speed is above 0 and finite, not {speed}")
        for arrival in _rows(self.path):
            yield Arrival(arrival.at / speed, arrival.input_tokens, arrival.output_tokens)


def _rows(path: Path) -> Iterator[Arrival]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            columns = _columns(path, next(rows, []))
            first = last = None
            for row in rows:
                if not row:
                    continue
                place = f"{path}, line {rows.line_num}"
                at, input_tokens, output_tokens = _read(place, row, columns)
                first = at if first is None else first
                if last is not None and at < last:
                    raise TraceError(f"{place}: arrivals ascend, and {at:g} comes before {last:g}")
                last = at
                yield Arrival(at - first, input_tokens, output_tokens)
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise TraceError(f"{path}: this is no text in UTF-8") from None
    except csv.Error as error:
        raise TraceError(f"{path}: no CSV: {error}") from None


def _columns(path: Path, header: list[str]) -> list[int]:
    names = [name.strip().lstrip("\ufeff") for name in header]
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        wanted = ",".join(COLUMNS)
        raise TraceError(f"{path}, line 1: no column {missing[0]!r}; the first line names them: {wanted}")
    return [names.index(column) for column in COLUMNS]


def _read(place: str, row: list[str], columns: list[int]) -> tuple[float, int, int]:
    try:
        fields = [row[column].strip() for column in columns]
    except IndexError:
        raise TraceError(f"{place}: {len(row)} fields are too few") from None
    at = _number(place, COLUMNS[0], fields[0])
    counts = [_count(place, name, text) for name, text in zip(COLUMNS[1:], fields[1:], strict=True)]
    return at, counts[0], counts[1]


def _number(place: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise TraceError(f"{place}: {name} is {text!r}; give seconds, at least 0")
    return value


def _count(place: str, name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) > _MOST_TOKENS:
        raise TraceError(
            f"{place}: {name} is {text!r}; give a whole number of tokens, at most {_MOST_TOKENS:,}"
        )
    return int(text)

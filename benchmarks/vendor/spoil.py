"""How answers are spoilt: sequences of frames in, sequences of frames out.

A *frame* is what is written at once: mostly one event, and the whole body of an answer that is not streamed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from msgspec import Struct

from .script import Stop

__all__ = ["HTML", "Frame", "broken_event", "broken_frames", "cut", "endless_body"]

HTML: Final = (
    b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><h1>Welcome</h1></body></html>\n"
)

_BLOCK: Final = 16 * 1024


class Frame(Struct):
    """Bytes of a body, after a wait of `gap` seconds. `raw` bytes break HTTP's own framing."""

    data: bytes
    tokens: int = 0
    gap: float = 0.0
    kind: Literal["body", "opening", "ping", "empty", "content", "closing"] = "body"
    raw: bool = False


def cut(frames: Iterator[Frame], stop: Stop) -> Iterator[tuple[Frame | None, bool]]:
    """The frames before the cut, each with True, and then, if there is a cut, what is left of the frame it falls in (or
    None) with False. A frame that is cut has no tokens: nobody can use it."""
    sent = events = tokens = 0
    for frame in frames:
        if stop.after_bytes is not None:
            if sent + len(frame.data) > stop.after_bytes:
                yield _part(frame, stop.after_bytes - sent), False
                return
        elif frame.kind == "body":
            yield _part(frame, len(frame.data) // 2), False
            return
        elif _reached(frame, stop, events, tokens):
            yield _remainder(frame, stop), False
            return
        sent += len(frame.data)
        tokens += frame.tokens
        events += frame.kind != "ping"
        yield frame, True


def _reached(frame: Frame, stop: Stop, events: int, tokens: int) -> bool:
    if stop.after_events is not None:
        return frame.kind != "ping" and events >= stop.after_events
    # Whatever comes before the content still comes with `after_tokens = 0`.
    return frame.kind in ("content", "closing") and tokens >= (stop.after_tokens or 0)


def _part(frame: Frame, length: int) -> Frame | None:
    return Frame(frame.data[:length], gap=frame.gap, kind=frame.kind) if length > 0 else None


def _remainder(frame: Frame, stop: Stop) -> Frame | None:
    if stop.where == "boundary":
        return None
    half = len(frame.data) // 2
    if stop.where == "mid_character":
        inside = [place for place, byte in enumerate(frame.data) if byte >= 0xC0]
        return _part(frame, inside[0] + 1 if inside else half)
    return _part(frame, half)


def broken_event(frames: Iterator[Frame], after_tokens: int, line_end: bytes) -> Iterator[Frame]:
    """An event that is no JSON comes after so many tokens, or before the end; the rest follows it."""
    tokens, broken = 0, False
    for frame in frames:
        if not broken and frame.kind in ("content", "closing") and tokens >= after_tokens:
            broken = True
            yield Frame(b'data: {"id": "x", "choices": [{"index": 0,, ' + line_end * 2, gap=frame.gap)
        tokens += frame.tokens
        yield frame


def broken_frames(frames: Iterator[Frame], after_tokens: int) -> Iterator[Frame]:
    """After so many tokens comes a chunk whose size is none; nothing follows it."""
    tokens = 0
    for frame in frames:
        if frame.kind in ("body", "content", "closing") and tokens >= after_tokens:
            yield Frame(b"zz\r\n" + frame.data + b"\r\n", gap=frame.gap, raw=True)
            return
        tokens += frame.tokens
        yield frame


def endless_body(length: int, beginning: bytes = b'{"filler": "') -> Iterator[Frame]:
    """`length` bytes without a line end, in blocks."""
    yield Frame(beginning[:length])
    left = length - len(beginning)
    block = b"x" * _BLOCK
    while left > 0:
        yield Frame(block[:left])
        left -= _BLOCK

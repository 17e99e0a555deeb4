"""From a step of the script to one answer, byte for byte and with its times: pure, and lazy where answers are long.

`speak` decides what is said, so that the vendor knows how many tokens an answer would have before it admits the
request; `plan` then makes the `Plan` that `connection` plays.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from ...runtime.simulated import speech
from .chance import draw
from .formats.base import Answer, Asked, Error, Format
from .limits import State
from .script import ErrorKind, RetryStyle, Step, Stop
from .spoil import HTML, Frame, broken_event, broken_frames, cut, endless_body

__all__ = ["Plan", "Said", "describe", "error_kind", "plan", "speak"]

_HUGE_BODY: Final = 10 * 2**30
_HUGE_HEAD: Final = 2**20

Ending: TypeAlias = Literal["whole", "end", "eof", "reset", "stall"]

_KIND_OF_STATUS: Final[dict[int, ErrorKind]] = {
    400: "bad_request",
    401: "auth",
    403: "permission",
    404: "no_model",
    408: "timeout",
    413: "too_large",
    422: "invalid_parameter",
    429: "rate_limited",
    502: "bad_gateway",
    503: "unavailable",
    504: "gateway_timeout",
    529: "overloaded",
}


class Said(Struct, frozen=True):
    """What an answer says: one piece a token, and whether the request's limit ended it."""

    pieces: list[str]
    finish: Literal["stop", "length"]


class Plan(Struct, kw_only=True):
    """One answer. Frames are made as they are asked for; `ending` and `sound` are final once they have run out."""

    status: int
    headers: dict[str, str]
    length: int | None
    """Of the body; None: chunked, or until the connection ends with `until_close`."""
    until_close: bool
    before_head: float
    generation: list[float]
    """Of an answer in one piece: the time that each of its tokens takes before the head is sent."""
    frames: Iterator[Frame]
    ending: Ending = "whole"
    sound: bool = True
    """Whether a client that gets it all has a whole and valid answer."""


class _Making(Struct):
    """What the parts of a plan need to know."""

    step: Step
    format: Format
    asked: Asked
    answer: Answer
    said: Said
    number: int
    rng: random.Random


def _spoilt(step: Step) -> int:
    """Bytes of a spoilt body or head."""
    return step.spoil_bytes or (_HUGE_HEAD if step.spoil == "huge_head" else _HUGE_BODY)


def describe(step: Step) -> str:
    """The step's name, or else what it does in a word."""
    if step.name:
        return step.name
    if step.act != "answer":
        return step.act
    if step.error is not None:
        return step.error
    if step.spoil is not None:
        return step.spoil
    if step.status is not None:
        return f"status {step.status}"
    if step.stop is not None:
        return f"stop by {step.stop.how}"
    if step.error_event is not None:
        return f"{step.error_event.kind} in the stream"
    return "answer"


def speak(step: Step, asked: Asked, rng: random.Random) -> Said:
    """What is said to `asked`, no longer than it allows. Draws from `rng`."""
    if error_kind(step) is not None and step.bill != "generated":
        return Said([], "stop")
    if step.text is not None:
        pieces = speech.pieces_of(step.text)
    else:
        pieces = _speech(step.tokens if isinstance(step.tokens, int) else round(draw(step.tokens, rng)), rng)
    if step.stop is not None and step.stop.where == "mid_character":
        # Something to cut within.
        pieces = [f"{piece}é" for piece in pieces]
    if asked.most_tokens is not None and len(pieces) > asked.most_tokens:
        return Said(pieces[: max(0, asked.most_tokens)], "length")
    return Said(pieces, "stop")


def plan(
    step: Step,
    format: Format,
    asked: Asked,
    answer: Answer,
    said: Said,
    states: list[State],
    number: int,
    wall_now: float,
    rng: random.Random,
) -> Plan:
    """The answer to attempt `number`. `states` are limits to be told of; `wall_now` is our own wall clock."""
    making = _Making(step, format, asked, answer, said, number, rng)
    theirs = wall_now + step.date_skew
    before_head = draw(step.delay.before_head, rng)
    kind = error_kind(step)
    if kind is not None:
        made = _refusal(making, kind, before_head)
    elif step.body is not None or step.json is not msgspec.UNSET:
        made = _plain(step.status or 200, _given(step), before_head)
    elif asked.stream and step.spoil not in ("html", "empty"):
        made = _stream(making, before_head)
    else:
        made = _whole(making, before_head)
    _finish_head(made, making, states, theirs)
    if step.stop is not None:
        made.frames = _stopped(made, made.frames, step.stop)
    return made


# --- heads --------------------------------------------------------------------------------------


def _finish_head(made: Plan, making: _Making, states: list[State], theirs: float) -> None:
    step, form = making.step, making.format
    told = [State(what, quota.limit, quota.remaining, quota.reset) for what, quota in step.quota.items()]
    head = {
        "date": formatdate(math.floor(theirs), usegmt=True),
        "content-type": made.headers.pop("content-type", "application/json"),
        "x-request-id": f"req_{making.number}",
    }
    head |= form.limit_headers([state for state in states if state.what not in step.quota] + told, theirs)
    head |= made.headers | _retry_headers(step, form, theirs)
    if step.content_type is not None:
        head["content-type"] = step.content_type
        made.sound = False
    if step.spoil == "huge_head":
        head["x-padding"] = "x" * _spoilt(step)
        made.sound = False
    if step.framing == "close":
        made.length, made.until_close = None, True
        head["connection"] = "close"
    made.headers = head | {name.lower(): value for name, value in step.headers.items()}


def _styles(step: Step, format: Format) -> list[RetryStyle]:
    return step.retry_style or [format.retry_style]


def _retry_headers(step: Step, format: Format, theirs: float) -> dict[str, str]:
    """`retry-after` in its spellings, rounded so that nobody is told to come too early."""
    if step.retry_after is None:
        return {}
    headers = {}
    styles = _styles(step, format)
    if "ms" in styles:
        headers["retry-after-ms"] = str(math.ceil(step.retry_after * 1000))
    if "seconds" in styles:
        headers["retry-after"] = str(math.ceil(step.retry_after))
    elif "date" in styles:
        # Whole seconds after the `Date` of the same answer, whose fraction is cut off as well.
        headers["retry-after"] = formatdate(math.floor(theirs) + math.ceil(step.retry_after), usegmt=True)
    return headers


# --- answers in one piece -----------------------------------------------------------------------


def error_kind(step: Step) -> ErrorKind | None:
    """The error that a step answers with, if it does."""
    if step.error is not None:
        return step.error
    if step.status is None or step.status < 400 or step.body is not None or step.json is not msgspec.UNSET:
        return None
    return _KIND_OF_STATUS.get(step.status, "server_error" if step.status >= 500 else "bad_request")


def _given(step: Step) -> bytes:
    return step.body.encode() if step.body is not None else msgspec.json.encode(step.json)


def _error_body(making: _Making, kind: ErrorKind) -> tuple[Error, dict[str, Any]]:
    error = making.format.errors[kind]
    in_body = making.step.retry_after if "body" in _styles(making.step, making.format) else None
    return error, making.format.error_body(error, error.message, in_body, making.number)


def _refusal(making: _Making, kind: ErrorKind, before_head: float) -> Plan:
    error, body = _error_body(making, kind)
    given = making.step.body is not None or making.step.json is not msgspec.UNSET
    content = _given(making.step) if given else msgspec.json.encode(body)
    made = _plain(making.step.status or error.status, content, before_head)
    made.headers |= error.headers
    return made


def _plain(status: int, content: bytes, before_head: float) -> Plan:
    return Plan(
        status=status,
        headers={},
        length=len(content),
        until_close=False,
        before_head=before_head,
        generation=[],
        frames=iter([Frame(content)]),
    )


def _whole(making: _Making, before_head: float) -> Plan:
    step, said = making.step, making.said
    content = making.format.whole(making.answer, "".join(said.pieces), len(said.pieces), said.finish)
    made = _plain(step.status or 200, content, before_head)
    made.generation = list(_gaps(making))
    made.frames = iter([Frame(content, tokens=len(said.pieces))])
    if step.spoil is None or step.spoil == "huge_head":
        return made
    made.sound = False
    if step.spoil == "html":
        made.headers["content-type"] = "text/html; charset=utf-8"
        made.length, made.frames = len(HTML), iter([Frame(HTML)])
    elif step.spoil == "empty":
        made.length, made.frames = 0, iter(())
    elif step.spoil == "malformed_json":
        half = content[: len(content) // 2]
        made.length, made.frames = len(half), iter([Frame(half)])
    elif step.spoil == "bad_chunk_size":
        made.length, made.frames, made.ending = None, broken_frames(iter([Frame(content)]), 0), "eof"
    else:
        made.length, made.frames = _spoilt(step), endless_body(_spoilt(step))
    return made


# --- streams ------------------------------------------------------------------------------------


def _stream(making: _Making, before_head: float) -> Plan:
    step = making.step
    made = Plan(
        status=step.status or 200,
        headers={"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"},
        length=None,
        until_close=False,
        before_head=before_head,
        generation=[],
        frames=_events(making),
    )
    if step.error_event is not None or "terminal" in step.omit or "finish" in step.omit:
        made.sound = False
    if step.spoil is None or step.spoil == "huge_head":
        return made
    made.sound = False
    if step.spoil == "bad_chunk_size":
        made.frames, made.ending = broken_frames(made.frames, step.spoil_after), "eof"
    elif step.spoil == "malformed_json":
        made.frames = broken_event(made.frames, step.spoil_after, making.format.line_end)
    elif step.spoil == "endless_line":
        made.frames = endless_body(_spoilt(step), b'data: {"filler": "')
    else:
        made.frames = _huge_stream(making)
    return made


def _gaps(making: _Making) -> Iterator[float]:
    """The time that each token takes."""
    delay, rng = making.step.delay, making.rng
    for index in range(len(making.said.pieces)):
        yield draw(delay.between if index else delay.first_event, rng)


def _events(making: _Making) -> Iterator[Frame]:
    """The events of a stream, each with the wait before it."""
    step, said, rng = making.step, making.said, making.rng
    begun, lively = False, False
    for frame in _prelude(making):
        lively = lively or frame.kind != "opening"
        if not begun:
            frame.gap = draw(step.delay.first_event, rng)
        elif lively:
            frame.gap = draw(step.delay.between, rng)
        begun = True
        yield frame
    # The first token comes with the opening, unless something has come in between.
    waiting = draw(step.delay.between, rng) if lively else 0.0 if begun else draw(step.delay.first_event, rng)
    failing = step.error_event
    for index, piece in enumerate(said.pieces):
        if failing is not None and index >= failing.after_tokens:
            break
        event = making.format.token(making.answer, piece, index + 1)
        yield Frame(event, tokens=1, gap=waiting, kind="content")
        waiting = draw(step.delay.between, rng)
    if failing is not None:
        _, body = _error_body(making, failing.kind)
        for event in making.format.error_events(body):
            yield Frame(event, gap=waiting, kind="closing")
            waiting = 0.0
        return
    for event in making.format.closing(making.answer, len(said.pieces), said.finish):
        yield Frame(event, kind="closing")


def _prelude(making: _Making) -> Iterator[Frame]:
    """What comes before the content."""
    step, form, answer = making.step, making.format, making.answer
    if "opening" not in step.omit:
        for event in form.opening(answer):
            yield Frame(event, kind="opening")
    for _ in range(step.pings):
        yield Frame(form.ping(), kind="ping")
    for _ in range(step.empty_events):
        yield Frame(form.empty(answer), kind="empty")


def _huge_stream(making: _Making) -> Iterator[Frame]:
    """Sound events of 16 KiB each, one token an event, up to the step's size."""
    for event in making.format.opening(making.answer):
        yield Frame(event, kind="opening")
    text = "word " * 3277
    sent = tokens = 0
    while sent < _spoilt(making.step):
        tokens += 1
        event = making.format.token(making.answer, text, tokens)
        sent += len(event)
        yield Frame(event, tokens=1, kind="content", gap=draw(making.step.delay.between, making.rng))
    for event in making.format.closing(making.answer, tokens, "stop"):
        yield Frame(event, kind="closing")


def _stopped(made: Plan, frames: Iterator[Frame], stop: Stop) -> Iterator[Frame]:
    """The frames up to the cut; the plan learns whether there was one."""
    for frame, uncut in cut(frames, stop):
        if not uncut:
            made.ending, made.sound = stop.how, False
        if frame is not None:
            yield frame


def _speech(tokens: int, rng: random.Random) -> list[str]:
    """Exactly `tokens` pieces of plausible English."""
    pieces: list[str] = []
    while len(pieces) < tokens:
        text = speech.reply(rng, "", tokens - len(pieces))
        pieces += speech.pieces_of(f" {text}" if pieces else text)
    return pieces[:tokens]

"""What is to be sent, in order: each request with its intended time, its size and its words. Pure, and repeatable by seed."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import count
from typing import Final

from msgspec import Struct

from .arrivals import Pattern, arrivals
from .sizes import Distribution
from .traces import Trace

__all__ = ["CHARACTERS_PER_TOKEN", "Job", "Sizes", "open_jobs", "prompt", "trace_jobs", "user_jobs"]

CHARACTERS_PER_TOKEN: Final = 4
"""Of English, about; the scripted vendor counts so exactly."""

_WORDS: Final = (
    "We keep a record of what was asked, when it was asked and how long the answer took, because a system that is "
    "only ever tried with short and equal questions shows nothing of how it behaves with real ones. "
)
_LONGEST: Final = 1_000_000
"""Tokens that a prompt has at most: a few megabytes of text."""
_TEXT: Final = _WORDS * 400


class Job(Struct, frozen=True, gc=False):
    """One request that is to be sent."""

    number: int
    """From 0, in order of arrival."""
    at: float
    """When, in seconds from the start of the load; 0 in a closed loop, where the answers decide."""
    input_tokens: int
    output_tokens: int


class Sizes(Struct, frozen=True):
    """The lengths of prompts and answers, in tokens."""

    prompt: Distribution
    answer: Distribution

    def draw(self, rng: random.Random) -> tuple[int, int]:
        """The lengths of one request's prompt and answer."""
        return min(_LONGEST, self.prompt.draw_count(rng)), self.answer.draw_count(rng)


def open_jobs(pattern: Pattern, rate: float, burst: int, sizes: Sizes, seed: int) -> Iterator[Job]:
    """Requests that arrive by a pattern, without end. Times and sizes are drawn apart, so that neither changes the other."""
    times, lengths = random.Random(f"{seed} arrivals"), random.Random(f"{seed} sizes")
    for number, at in enumerate(arrivals(pattern, rate, times, burst)):
        yield Job(number, at, *sizes.draw(lengths))


def trace_jobs(trace: Trace, speed: float) -> Iterator[Job]:
    """The requests of a trace, once, `speed` times as fast."""
    for number, each in enumerate(trace.arrivals(speed)):
        yield Job(number, each.at, max(1, each.input_tokens), max(1, each.output_tokens))


def user_jobs(sizes: Sizes, seed: int) -> Iterator[Job]:
    """Requests for users who take the next one when they are ready for it, without end."""
    lengths = random.Random(f"{seed} sizes")
    for number in count():
        yield Job(number, 0.0, *sizes.draw(lengths))


def prompt(job: Job) -> str:
    """Text of about `job.input_tokens` tokens, that of no other request: a cache for equal prompts would measure itself."""
    characters = min(_LONGEST, job.input_tokens) * CHARACTERS_PER_TOKEN
    begin = f"Question {job.number}. "
    if characters <= len(_TEXT):
        return (begin + _TEXT[: characters - len(begin)]) if characters > len(begin) else begin[:characters]
    return (begin + _TEXT * math.ceil(characters / len(_TEXT)))[:characters]

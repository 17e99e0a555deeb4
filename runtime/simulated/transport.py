"""The door of a simulated vendor: an httpx transport that answers without a network.

Time passes only on trio's clock, so a whole day of traffic can be played in a test's virtual time.
Everything happens in the caller's own task: cancelling it ends the exchange, and nothing is left running.

The head of an answer comes with its first token, as it mostly does with real vendors. The time to the first
token is log-normal; after it tokens come at an even pace with a little jitter, on a schedule of
their own: who reads slowly finds the rest waiting, as it would in a socket's buffer.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import islice
from typing import Final, Self

import httpx
import msgspec
import trio
from msgspec import Struct

from ..clock import wall_now
from ..config.schema import Limits, Simulation
from . import render
from .allowance import Allowance, Exceeded
from .answer import Answer, compose
from .body import Body, Rejected, read_body, read_text_body
from .vectors import embeddings, read_embeddings_body
from .weather import Mishap, draw_mishap

__all__ = ["SimulatedTransport"]

_UNLIMITED: Final = Limits()

_JITTER: Final = 0.15
"""How much the time from token to token varies to either side, as a share of it."""

_REFUSALS: Final[dict[Mishap, tuple[int, str, str, str | None]]] = {
    "rate_limited": (
        429,
        "Rate limit reached (simulated). Please try again in 1s.",
        "requests",
        "rate_limit_exceeded",
    ),
    "overloaded": (
        503,
        "The engine is currently overloaded, please try again later (simulated).",
        "server_error",
        "overloaded",
    ),
    "server_error": (
        500,
        "The server had an error while processing your request (simulated).",
        "server_error",
        None,
    ),
}
"""Status, message, type and code of the faults that are refusals."""


class _Pace(Struct):
    """When the tokens of one answer come, in order. Absolute times on the event loop's clock."""

    due: float
    """Of the token last asked for."""
    gap: float
    rng: random.Random
    step: int = 0

    def at(self, step: int) -> float:
        """When token `step` is due; steps are asked for in rising order."""
        while self.step < step:
            self.step += 1
            self.due += self.gap * self.rng.uniform(1 - _JITTER, 1 + _JITTER)
        return self.due


class _Events(httpx.AsyncByteStream):
    """The body of a streamed answer; it may end early, or go silent.

    An iterator and not a generator: one that is given up half-way has nothing to clean up.
    """

    def __init__(self, events: Iterator[tuple[int, bytes]], pace: _Pace, *, silent_at_end: bool) -> None:
        self._events = events
        self._pace = pace
        self._silent_at_end = silent_at_end

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        following = next(self._events, None)
        if following is None:
            if self._silent_at_end:
                await trio.sleep_forever()
            raise StopAsyncIteration
        step, event = following
        await _until(self._pace.at(step))
        return event


class _Severed(httpx.AsyncByteStream):
    """A body that breaks off before its declared length."""

    def __init__(self, beginning: bytes) -> None:
        self._beginning = beginning

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self._beginning:
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")
        beginning, self._beginning = self._beginning, b""
        return beginning


class SimulatedTransport(httpx.AsyncBaseTransport):
    """One simulated vendor. Answers `POST .../chat/completions`, `.../completions` and `.../embeddings`; any other address is
    404.

    `rng` decides everything that is left to chance (`simulation.seed` is for whoever makes it). A request
    takes its own generator from it on arrival, so that how requests overlap does not change what each
    gets. Of `limits` the vendor keeps those per minute; it raises `ValueError` for one of zero.
    """

    def __init__(self, simulation: Simulation, *, rng: random.Random, limits: Limits = _UNLIMITED) -> None:
        self._simulation = simulation
        self._rng = rng
        self._allowance = Allowance(limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, once it begins. Raises `httpx.ConnectError` when it plays a refused connection."""
        rng = random.Random(self._rng.getrandbits(64))
        mishap = draw_mishap(self._simulation.faults, rng)
        if mishap == "refuse_connection":
            await trio.lowlevel.checkpoint()
            raise httpx.ConnectError("Connection refused (simulated)", request=request)
        raw = await request.aread()
        await trio.lowlevel.checkpoint()
        headers = {"x-request-id": f"req_sim{rng.getrandbits(64):016x}"}
        path = request.url.path.rstrip("/")
        if not path.endswith(("/completions", "/embeddings")):
            message = f"Invalid URL ({request.method} {request.url.path})"
            return _refusal(404, message, "invalid_request_error", headers, code="unknown_url")
        if request.method != "POST":
            message = f"Not allowed to {request.method} on {request.url.path}"
            return _refusal(405, message, "invalid_request_error", headers, code="method_not_supported")
        try:
            if path.endswith("/embeddings"):
                return await self._embed(raw, mishap, rng, headers)
            bare = not path.endswith("/chat/completions")
            body = read_text_body(raw) if bare else read_body(raw)
        except Rejected as error:
            return _refusal(400, error.message, "invalid_request_error", headers, param=error.param)
        return await self._answer(body, mishap, rng, headers, bare=bare)

    async def _answer(
        self, body: Body, mishap: Mishap | None, rng: random.Random, headers: dict[str, str], *, bare: bool
    ) -> httpx.Response:
        """What is said to a chat, or to a `bare` text."""
        simulation = self._simulation
        first_token = simulation.first_token * rng.lognormvariate(0.0, simulation.spread)
        pace_rng = random.Random(rng.getrandbits(64))
        answer = compose(body, simulation.reply_tokens, rng)
        now = trio.current_time()
        refused = await self._refused(answer.total_tokens, body.model, mishap, first_token, headers)
        if refused is not None:
            return refused
        pace = _Pace(now + first_token, 1 / simulation.tokens_per_second, pace_rng)
        if body.stream:
            events = render.chunks(answer, body, int(wall_now()), bare=bare)
            return await _streamed(events, answer, mishap, pace, rng, headers)
        if mishap == "stall":
            await trio.sleep_forever()
        longest = max([len(said.pieces) for said in answer.choices])
        await _until(pace.at(max(0, longest - 1)))
        content = render.completion(answer, int(wall_now()), bare=bare)
        return _in_one_piece(content, mishap, headers)

    async def _embed(
        self, raw: bytes, mishap: Mishap | None, rng: random.Random, headers: dict[str, str]
    ) -> httpx.Response:
        """Vectors, after the time that a chat takes to begin. Raises `Rejected`."""
        simulation = self._simulation
        seconds = simulation.first_token * rng.lognormvariate(0.0, simulation.spread)
        body = read_embeddings_body(raw)
        answer, tokens = embeddings(body)
        refused = await self._refused(tokens, body.model, mishap, seconds, headers)
        if refused is not None:
            return refused
        if mishap == "stall":
            await trio.sleep_forever()
        await trio.sleep(seconds)
        return _in_one_piece(msgspec.json.encode(answer), mishap, headers)

    async def _refused(
        self, tokens: int, model: str, mishap: Mishap | None, seconds: float, headers: dict[str, str]
    ) -> httpx.Response | None:
        """The refusal of a request of so many tokens, if it is one: for a limit's sake, or by mishap after `seconds`."""
        now = trio.current_time()
        exceeded = self._allowance.admit(tokens, now)
        headers |= self._allowance.headers(now)
        if exceeded is not None:
            return _limited(exceeded, model, headers)
        if mishap not in _REFUSALS:
            return None
        if mishap == "server_error":
            await trio.sleep(seconds)
        elif mishap == "rate_limited":
            headers["retry-after"] = "1"
        status, message, kind, code = _REFUSALS[mishap]
        return _refusal(status, message, kind, headers, code=code)


def _in_one_piece(content: bytes, mishap: Mishap | None, headers: dict[str, str]) -> httpx.Response:
    """A whole answer, which may break off half-way."""
    headers |= {"content-type": "application/json", "content-length": str(len(content))}
    if mishap == "cut":
        return httpx.Response(200, headers=headers, stream=_Severed(content[: len(content) // 2]))
    return httpx.Response(200, headers=headers, stream=httpx.ByteStream(content))


async def _streamed(
    events: Iterator[tuple[int, bytes]],
    answer: Answer,
    mishap: Mishap | None,
    pace: _Pace,
    rng: random.Random,
    headers: dict[str, str],
) -> httpx.Response:
    """The answer as a stream, from its first token on."""
    await _until(pace.due)
    headers |= {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
    if mishap == "cut" or mishap == "stall":
        events = islice(events, _events_before_end(answer, mishap, rng))
    stream = _Events(events, pace, silent_at_end=mishap == "stall")
    return httpx.Response(200, headers=headers, stream=stream)


def _events_before_end(answer: Answer, mishap: Mishap, rng: random.Random) -> int:
    """How many events a broken stream sends: never the last token; a stall may come before the first."""
    tokens = max(1, answer.completion_tokens)
    sent = rng.randrange(tokens)
    if mishap == "cut":
        sent = min(max(1, sent), tokens - 1)
    return len(answer.choices) + sent


async def _until(when: float) -> None:
    """Sleep until `when`; a time in the past is only a checkpoint, and cheap."""
    if when > trio.current_time():
        await trio.sleep_until(when)
    else:
        await trio.lowlevel.checkpoint()


def _limited(exceeded: Exceeded, model: str, headers: dict[str, str]) -> httpx.Response:
    headers["retry-after"] = str(math.ceil(exceeded.wait))
    headers["retry-after-ms"] = str(math.ceil(exceeded.wait * 1000))
    unit = "RPM" if exceeded.what == "requests" else "TPM"
    message = (
        f"Rate limit reached for {model} (simulated) on {exceeded.what} per min ({unit}): "
        f"Limit {exceeded.limit}. Please try again in {exceeded.wait:.3f}s."
    )
    return _refusal(429, message, exceeded.what, headers, code="rate_limit_exceeded")


def _refusal(
    status: int,
    message: str,
    kind: str,
    headers: dict[str, str],
    *,
    code: str | None = None,
    param: str | None = None,
) -> httpx.Response:
    content = render.refusal(message, kind, code, param)
    headers = headers | {"content-type": "application/json", "content-length": str(len(content))}
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(content))

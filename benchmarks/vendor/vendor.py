"""The scripted vendor itself: script, books and limits together; from a request to what it is answered.

`connection` speaks HTTP for it, `server` listens on sockets, and `memory` connects it within one process.
"""

from __future__ import annotations

import hashlib
import random
import ssl
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import msgspec
import trio
from msgspec import Struct

from ...runtime.clock import wall_now
from .connection import Connection
from .exchange import Exchange, NotFound
from .formats import FORMATS, Format
from .formats.base import Answer, Asked, Unreadable
from .limits import Admission, Exceeded, Limiter
from .meter import Attempt, Meter, input_tokens, masked
from .plan import Plan, Said, describe, error_kind, plan, speak
from .script import ConnectionRule, Script, Step
from .selection import Selector
from .server import serve

__all__ = ["ScriptedVendor", "VendorStatistics"]

_A_DAY: Final = 86_400.0


class VendorStatistics(Struct, frozen=True):
    """The vendor at a moment, and since it was made or reset."""

    connections: int
    """Open now."""
    accepted: int
    turned_away: int
    """Connections and requests on open ones that met `refuse`, `reset`, `drop`, `unresolved` or `untrusted`."""
    attempts: int
    under_way: int
    violations: int


class ScriptedVendor:
    """A vendor that does what `script` says. Made within a running trio, since its windows begin at once.

    `formats` are the names of those it speaks (`openai`, `anthropic`, `gemini`), all by default. `wall_now` is the clock
    for dates in headers, `history` how many attempts are remembered. Raises `ValueError` for an unknown format.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        formats: Collection[str] | None = None,
        wall_now: Callable[[], float] = wall_now,
        history: int = 10_000,
    ) -> None:
        unknown = set(formats or ()) - set(FORMATS)
        if unknown:
            raise ValueError(f"unknown format {min(unknown)!r}; there are {', '.join(FORMATS)}")
        self.wall_now = wall_now
        self.open = 0
        self.on_end: Callable[[Attempt], None] | None = None
        """Is told of each attempt that has ended."""
        self._formats = [each for name, each in FORMATS.items() if formats is None or name in formats]
        self._most = history
        self._changed = trio.Event()
        self.script = script or Script()
        self.reset()

    def play(self, script: Script) -> None:
        """Begin `script` from its start, now. The books go on; limits begin empty."""
        self.script = script
        self.started_at = trio.current_time()
        self.selector = Selector(script)
        self.limiter = Limiter(script.limits)
        self.meter.billing = script.billing
        self._changed.set()
        self._changed = trio.Event()

    def reset(self) -> None:
        """Begin the script again, with empty books and limits and all numbers from 1, so that the same requests meet the
        same. What is under way goes on, and is booked nowhere."""
        self.meter = Meter(self.script.billing, self._most)
        self.accepted = self.turned_away = 0
        self._connections = self._attempts = 0
        self.play(self.script)

    @property
    def elapsed(self) -> float:
        """Seconds since the script began. Rounded, so that a window ends at its end whatever floats make of a sum."""
        return round(trio.current_time() - self.started_at, 9)

    @property
    def history(self) -> list[Attempt]:
        """The attempts that are remembered, in order of arrival."""
        return self.meter.history

    @property
    def formats(self) -> list[str]:
        """The names of the formats that are spoken."""
        return [each.name for each in self._formats]

    def base_url(self, format: str, origin: str) -> str:
        """What a client of `format` is configured with, if the vendor is to be found at `origin`."""
        return origin + FORMATS[format].base_path

    def statistics(self) -> VendorStatistics:
        """The vendor at this moment."""
        return VendorStatistics(
            self.open,
            self.accepted,
            self.turned_away,
            self.meter.begun,
            len(self.meter.under_way),
            self.limiter.violated,
        )

    async def serve_stream(
        self, stream: trio.abc.Stream, met: tuple[int, ConnectionRule, random.Random] | None = None
    ) -> None:
        """Serve one connection over any stream, until it ends. `met` is what `next_connection` has said of it already."""
        number, rule, rng = met or self.next_connection()
        self.open += 1
        try:
            await Connection(self, stream, number).run(rule, rng)
        finally:
            self.open -= 1

    async def listen(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        ssl_context: ssl.SSLContext | None = None,
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve on a socket until cancelled; see `server.serve`. `nursery.start` returns the port."""
        await serve(self, port, host, ssl_context=ssl_context, task_status=task_status)

    async def wait_idle(self) -> None:
        """Return when every attempt has been booked. A client may have read an answer to its end, or have left, a moment
        before the vendor's own task has come to book it."""
        await self.meter.wait_idle()

    async def wait_script_changed(self) -> None:
        """Return when another script has begun, or this one again."""
        await self._changed.wait()

    def next_connection(self) -> tuple[int, ConnectionRule, random.Random]:
        """A new connection's number, what it meets, and its own generator."""
        self._connections += 1
        rng = random.Random(f"{self.script.seed} connection {self._connections}")
        return self._connections, self.selector.connection(self.elapsed, rng), rng

    def receive(
        self, path: str, query: str, headers: Mapping[str, str], body: bytes, connection: int
    ) -> Exchange:
        """Take a request in: decide what it meets, count it, and plan its answer. Raises `NotFound`."""
        spoken = next((each for each in self._formats if each.serves(path)), None)
        if spoken is None:
            raise NotFound
        self._attempts += 1
        number = self._attempts
        rng = random.Random(f"{self.script.seed} attempt {number}")
        key = spoken.key(headers, query)
        try:
            asked, problem = self._read(spoken, path, query, body), None
        except Unreadable as error:
            asked, problem = Asked(model="", stream=False, characters=0), str(error)
        step, admission, said = self._decide(spoken, asked, key, problem, number, rng)
        now = trio.current_time()
        attempt = Attempt(
            number=number,
            connection=connection,
            at=now,
            format=spoken.name,
            model=asked.model,
            key=masked(key),
            stream=asked.stream,
            digest=hashlib.sha256(body).hexdigest()[:16],
            step=describe(step),
            input_tokens=input_tokens(asked.characters),
            planned_tokens=len(said.pieces),
        )
        self.meter.begin(attempt)
        made = self._plan(step, spoken, asked, said, attempt, key, rng)
        told = asked.include_usage and "usage" not in step.omit
        text = "".join(said.pieces)
        return Exchange(attempt, step, made, self.meter, admission, self.on_end, text, told)

    # --- deciding ---------------------------------------------------------------------------

    def _read(self, format: Format, path: str, query: str, body: bytes) -> Asked:
        try:
            decoded: Any = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unreadable(f"the body is no JSON: {error}") from None
        if not isinstance(decoded, dict):
            raise Unreadable("the body is no JSON object")
        return format.read(path, query, decoded)

    def _decide(
        self, format: Format, asked: Asked, key: str, problem: str | None, number: int, rng: random.Random
    ) -> tuple[Step, Admission | None, Said]:
        """What the attempt meets. A step of the script is used up only by an attempt that the limits let in."""
        nothing = Said([], "stop")
        if problem is not None:
            body = format.error_body(format.errors["bad_request"], problem, None, number)
            return Step(name="unreadable", status=400, json=body), None, nothing
        if self.script.models and asked.model not in self.script.models:
            return Step(name="unknown model", error="no_model"), None, nothing
        selection = self.selector.select(asked.model, key, asked.stream, self.elapsed, rng)
        said = speak(selection.step, asked, rng)
        refused = error_kind(selection.step) is not None
        tokens = (0, 0) if refused else (input_tokens(asked.characters), len(said.pieces))
        admission = self.limiter.admit(number, key, asked.model, *tokens, trio.current_time())
        if isinstance(admission, Exceeded):
            return _limited(admission), None, nothing
        selection.play()
        return selection.step, admission, said

    def _plan(
        self,
        step: Step,
        format: Format,
        asked: Asked,
        said: Said,
        attempt: Attempt,
        key: str,
        rng: random.Random,
    ) -> Plan:
        wall = self.wall_now()
        answer = Answer(
            id=f"vendor{attempt.number}",
            model=asked.model,
            created=int(wall + step.date_skew),
            input_tokens=attempt.input_tokens,
            include_usage=asked.include_usage,
            omit=step.omit,
            embeddings=asked.embeddings,
        )
        states = self.limiter.states(key, asked.model, attempt.at)
        return plan(step, format, asked, answer, said, states, attempt.number, wall, rng)


def _limited(exceeded: Exceeded) -> Step:
    """The refusal of a request that is beyond a limit."""
    name = f"limit: {exceeded.limit.what}"
    if exceeded.limit.what == "concurrency":
        return Step(name=name, error="concurrency_limited")
    if exceeded.wait is None:
        return Step(name=name, error="request_too_large")
    daily = exceeded.limit.what == "requests" and exceeded.per >= _A_DAY
    return Step(
        name=name,
        error="gemini_per_day" if daily else "rate_limited",
        retry_after=exceeded.wait,
        retry_style=["seconds", "ms", "body"],
    )

"""A program on this machine in a vendor's place: an httpx transport that starts one process for every request.

The request's body is its standard input, whole and from the start (a file in memory, so that nobody has to feed it while it
is being read from), and its standard output is the body of the answer. How the process ends is the answer's status, as far
as it ended before it said anything; the codes are those of `sysexits.h`:

    0                                      200
    EX_USAGE 64, EX_DATAERR 65             400
    EX_NOPERM 77                           403
    EX_NOINPUT 66                          404: it has no such model
    EX_UNAVAILABLE 69, EX_TEMPFAIL 75      503
    any other, and the end by a signal     500

Once it has said something, an end with another code than 0 breaks the answer off. In either case the end of what it wrote to
standard error is quoted.

No shell reads the command. A process is the leader of a group of its own, and the whole group is killed (SIGKILL: there is
nothing to be tidied up that a program should rely on) as soon as its answer is left, whether by a cancellation, at a deadline
or by an error, and whatever is left of the group when the process has ended by itself. It sees no variables of our
environment but the few in `INHERITED`: among the others are the keys of other vendors.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Final

import httpx
import msgspec
import trio

from .client_errors import ConnectionRefused

__all__ = ["INHERITED", "ProgramTransport"]

INHERITED: Final = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER")

_STATUS: Final = {64: 400, 65: 400, 66: 404, 69: 503, 75: 503, 77: 403}
_PIECE: Final = 65_536
_MOST_SAID: Final = 4096
"""Bytes of what it writes to standard error that are kept, the last ones."""
_LINGER: Final = 2.0
"""Seconds that it may take to end once it has closed its output."""
_LAST_WORDS: Final = 0.1
_REAP: Final = 1.0
_WAIT_FOR_PLACE: Final = 5.0
"""Seconds that a request waits for one of the processes to end, of which there are already as many as may be."""


class ProgramTransport(httpx.AsyncBaseTransport):
    """Runs `command` for each request, `at_once` of them at the same time at most, in `directory` (ours, if None).

    `environment`: variables beside the inherited ones.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        at_once: int,
        directory: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = list(command)
        self._directory = directory
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self._environment = {**inherited, **(environment or {})}
        self._places = trio.CapacityLimiter(at_once)
        self._runs: set[_Run] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Start the program; returns once it has said something, or ended. Raises httpx.TransportError."""
        stream = request.stream
        body = b"".join(stream) if isinstance(stream, httpx.SyncByteStream) else b""
        run = await self._start(body)
        try:
            first = await run.read()
            code = 0 if first else await run.end()
        except BaseException:
            run.kill()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _REAP):
                await run.close()
            raise
        if code:
            await run.close()
            error = {"error": {"message": run.ending(code), "code": f"exit_{code}"}}
            return httpx.Response(_STATUS.get(code, 500), stream=_Whole(msgspec.json.encode(error)))
        return httpx.Response(200, stream=_Output(run, first))

    async def aclose(self) -> None:
        """Kill what is running, and wait a moment for its end."""
        for run in self._runs:
            run.kill()
        with trio.move_on_after(_REAP):
            for run in list(self._runs):
                await run.close()
        await trio.lowlevel.checkpoint()

    async def _start(self, body: bytes) -> _Run:
        for dying in [run for run in self._runs if run.dying]:
            dying.bury()
        run = _Run(self)
        with trio.move_on_after(_WAIT_FOR_PLACE) as scope:
            await self._places.acquire_on_behalf_of(run)
        if scope.cancelled_caught:
            most = int(self._places.total_tokens)
            raise httpx.PoolTimeout(f"{most} of the program are running already, and none ended")
        self._runs.add(run)
        try:
            with _held_in_memory(body) as held:
                await run.start(self._command, held, self._directory, self._environment)
        except OSError as error:
            self._forget(run)
            # Whatever is wrong, it is no sign that our network is down.
            why = error.strerror or str(error)
            raise ConnectionRefused(f"the program {self._command[0]!r} cannot be started: {why}") from error
        except BaseException:
            run.kill()
            self._forget(run)
            raise
        return run

    def _forget(self, run: _Run) -> None:
        if run in self._runs:
            self._runs.discard(run)
            self._places.release_on_behalf_of(run)


class _Run:
    """One process, from its start to the end of its group."""

    def __init__(self, transport: ProgramTransport) -> None:
        self._transport = transport
        self._process: trio.Process | None = None
        self._said = b""
        self.dying = False

    async def start(
        self, command: Sequence[str], body: IO[bytes], directory: str | None, environment: Mapping[str, str]
    ) -> None:
        self._process = await trio.lowlevel.open_process(
            command,
            stdin=body,
            stdout=-1,
            stderr=-1,
            cwd=directory,
            env=environment,
            start_new_session=True,
        )

    async def read(self) -> bytes:
        """More of what it says; empty at the end. What it writes to standard error is taken meanwhile, lest it be kept
        waiting for that."""
        data = b""
        if self._process is None or self._process.stdout is None:
            return data
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            data = await _receive(self._process.stdout)
            nursery.cancel_scope.cancel()
        return data

    async def end(self) -> int:
        """Wait for its end, now that it has closed its output; its exit code, below 0 for the signal that ended it. Raises
        `httpx.ReadError` if it does not end."""
        process = self._process
        if process is None:
            return 0
        with trio.move_on_after(_LINGER) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen)
                await process.wait()
                self._kill_group(process.pid)
                # What it said last may still be on its way.
                nursery.cancel_scope.deadline = trio.current_time() + _LAST_WORDS
        if scope.cancelled_caught and process.returncode is None:
            self.kill()
            raise httpx.ReadError("the program closed its output and did not end")
        return process.returncode or 0

    def ending(self, code: int) -> str:
        """An end in words."""
        how = f"with code {code}" if code > 0 else f"by signal {-code} ({_signal_name(-code)})"
        said = self._said.decode("utf-8", "replace").strip()
        return f"the program ended {how}" + (f": {said}" if said else "")

    def kill(self) -> None:
        """End it at once, and everything that it has started."""
        if self._process is not None and self._process.returncode is None:
            self._kill_group(self._process.pid)

    async def close(self) -> None:
        """End it, and give back all that it held. What does not die while there is time is buried later: till then it keeps
        its place."""
        self.kill()
        self.dying = True
        if self._process is not None:
            for pipe in (self._process.stdout, self._process.stderr):
                if pipe is not None:
                    with trio.CancelScope() as closing:
                        closing.cancel()
                        await pipe.aclose()
            await self._process.wait()
        self.bury()

    def bury(self) -> None:
        """Give back its place, if it has ended."""
        if self._process is None or self._process.poll() is not None:
            self._transport._forget(self)

    async def _listen(self) -> None:
        if self._process is None or self._process.stderr is None:
            return
        while piece := await _receive(self._process.stderr):
            self._said = (self._said + piece)[-_MOST_SAID:]

    @staticmethod
    def _kill_group(pid: int) -> None:
        # The number of a group is not given away again while anybody is in it.
        try:
            os.killpg(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return


class _Output(httpx.AsyncByteStream):
    """What one process says. Its end is the end of the body if the process ended well, else `httpx.ReadError`."""

    def __init__(self, run: _Run, first: bytes) -> None:
        self._run = run
        self._first = first
        self._ended = not first

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if first := self._first:
            self._first = b""
            return first
        if self._ended:
            raise StopAsyncIteration
        try:
            data = await self._run.read()
            code = 0 if data else await self._run.end()
        except BaseException:
            self._ended = True
            self._run.kill()
            raise
        if data:
            return data
        self._ended = True
        if code:
            raise httpx.ReadError(self._run.ending(code))
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Kill it, unless it has ended."""
        self._ended = True
        await self._run.close()


class _Whole(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        body, self._body = self._body, b""
        if not body:
            raise StopAsyncIteration
        return body


@contextmanager
def _held_in_memory(body: bytes) -> Iterator[IO[bytes]]:
    """A file that holds `body`, to be read from its beginning; in memory where the system has such files."""
    in_memory = hasattr(os, "memfd_create")
    with os.fdopen(os.memfd_create("request"), "w+b") if in_memory else tempfile.TemporaryFile() as file:
        file.write(body)
        file.flush()
        file.seek(0)
        yield file


async def _receive(pipe: trio.abc.ReceiveStream) -> bytes:
    try:
        return bytes(await pipe.receive_some(_PIECE))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return b""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"

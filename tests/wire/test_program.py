"""A program in a vendor's place: real processes, short ones, which never outlive their answers."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from llm_dispatcher.runtime.wire import program as program_module
from llm_dispatcher.runtime.wire.program import ProgramTransport

pytestmark = pytest.mark.slow


def python(program: str) -> list[str]:
    """A command that runs `program`, without what would make the start of an interpreter slow."""
    return [sys.executable, "-I", "-S", "-c", textwrap.dedent(program)]


@asynccontextmanager
async def transport(program: str, **more: Any) -> AsyncIterator[ProgramTransport]:
    made = ProgramTransport(python(program), **{"at_once": 4, **more})
    try:
        with trio.fail_after(20):
            yield made
    finally:
        await made.aclose()
        assert made._runs == set()
        assert made._places.borrowed_tokens == 0


def request(body: bytes = b"{}") -> httpx.Request:
    return httpx.Request("POST", "http://program.invalid/", content=body)


async def whole(made: ProgramTransport, body: bytes = b"{}") -> tuple[int, bytes]:
    response = await made.handle_async_request(request(body))
    try:
        return response.status_code, await response.aread()
    finally:
        await response.aclose()


async def gone(pid: int) -> bool:
    """Whether a process of that number ends within a moment; one that nobody has buried yet has ended."""
    for _ in range(100):
        if state(pid) in ("", "Z"):
            return True
        await trio.sleep(0.02)
    return False


def state(pid: int) -> str:
    """The letter by which the system says what a process is doing; empty for one that is not there."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


async def test_its_input_is_the_request_and_its_output_the_answer() -> None:
    async with transport("import sys; sys.stdout.write(sys.stdin.read()[::-1])") as made:
        body = b"x" * 300_000 + b"end"
        assert await whole(made, body) == (200, body[::-1])


async def test_what_it_says_arrives_as_it_is_said() -> None:
    program = """
        import sys, time
        print("one", flush=True)
        sys.stdin.read()
        time.sleep(0.3)
        print("two", flush=True)
    """
    async with transport(program) as made:
        response = await made.handle_async_request(request())
        assert isinstance(response.stream, httpx.AsyncByteStream)
        pieces = aiter(response.stream)
        assert await anext(pieces) == b"one\n"
        assert await anext(pieces) == b"two\n"
        assert await anext(pieces, None) is None
        await response.aclose()


@pytest.mark.parametrize(
    ("code", "status"), [(1, 500), (64, 400), (65, 400), (66, 404), (69, 503), (75, 503), (77, 403)]
)
async def test_its_exit_code_is_the_answers_status_and_its_last_words_are_quoted(
    code: int, status: int
) -> None:
    program = f"import sys; sys.stderr.write('no ' * 5000 + 'such luck'); sys.exit({code})"
    async with transport(program) as made:
        found, body = await whole(made)
        assert found == status
        assert f'"exit_{code}"'.encode() in body
        assert b"such luck" in body
        assert len(body) < 5000


async def test_a_signal_is_named() -> None:
    async with transport("import os; os.kill(os.getpid(), 11)") as made:
        status, body = await whole(made)
        assert status == 500
        assert b"by signal 11 (SIGSEGV)" in body


async def test_an_end_with_an_error_after_some_words_breaks_the_answer_off() -> None:
    program = "import sys; print('half', flush=True); sys.stderr.write('out of memory'); sys.exit(3)"
    async with transport(program) as made:
        response = await made.handle_async_request(request())
        assert response.status_code == 200
        with pytest.raises(httpx.ReadError, match="ended with code 3: out of memory"):
            await response.aread()
        await response.aclose()


async def test_much_on_standard_error_does_not_keep_it_waiting() -> None:
    program = "import sys; sys.stderr.write('x' * 1_000_000); print('done')"
    async with transport(program) as made:
        assert await whole(made) == (200, b"done\n")


async def test_a_program_that_is_not_there_or_must_not_be_run_is_no_connection(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    for command, why in ((["/no/such/program"], "No such file"), ([str(plain)], "Permission denied")):
        made = ProgramTransport(command, at_once=1)
        for _ in range(2):  # the place is given back
            with pytest.raises(httpx.ConnectError, match=why):
                await made.handle_async_request(request())
        await made.aclose()


async def test_its_variables_are_few_and_the_keys_of_others_not_among_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("HOME", "/somewhere")
    program = "import os; print(sorted(os.environ))"
    async with transport(program, environment={"MODEL": "m"}, directory="/") as made:
        _, body = await whole(made)
        assert b"'HOME'" in body
        assert b"'MODEL'" in body
        assert b"OPENAI" not in body


CHILDREN = """
    import os, subprocess, sys, time
    child = subprocess.Popen(["sleep", "600"])
    print(os.getpid(), child.pid, flush=True)
    time.sleep(600)
"""


async def pids(response: httpx.Response) -> list[int]:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return [int(word) for word in (await anext(aiter(response.stream))).split()]


@pytest.mark.parametrize("how", ["cancelled", "closed", "the house closes"])
async def test_whoever_leaves_takes_it_and_its_children_with_him(how: str) -> None:
    async with transport(CHILDREN) as made:
        response = await made.handle_async_request(request())
        both = await pids(response)
        if how == "cancelled":
            with trio.move_on_after(0.05):
                await response.aread()
            await response.aclose()
        elif how == "closed":
            await response.aclose()
        else:
            await made.aclose()
        assert [await gone(pid) for pid in both] == [True, True]


async def test_a_deadline_before_the_first_word_kills_it_too(tmp_path: Path) -> None:
    program = (
        "import os, time; print(os.getpid(), file=open(os.environ['OUT'], 'w'), flush=True); time.sleep(600)"
    )
    out = tmp_path / "pid"
    async with transport(program, environment={"OUT": str(out)}) as made:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(made.handle_async_request, request())
                while not (out.is_file() and out.read_text().endswith("\n")):  # noqa: ASYNC110 - it is a file
                    await trio.sleep(0.01)
                scope.cancel()
        assert await gone(int(out.read_text()))


async def test_what_it_leaves_behind_is_ended_with_it() -> None:
    program = """
        import subprocess, sys
        child = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        print(child.pid)
    """
    async with transport(program) as made:
        _, body = await whole(made)
        assert await gone(int(body))


async def test_one_that_closes_its_output_and_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_module, "_LINGER", 0.2)
    program = "import os, time; print('x', flush=True); os.close(1); time.sleep(600)"
    async with transport(program) as made:
        response = await made.handle_async_request(request())
        with pytest.raises(httpx.ReadError, match="did not end"):
            await response.aread()
        await response.aclose()


async def test_no_more_of_them_run_at_once_than_may() -> None:
    program = "import time; time.sleep(0.2); print('x')"
    async with transport(program, at_once=2) as made, trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(whole, made)
        most = 0
        while nursery.child_tasks:
            most = max(most, len(made._runs))
            await trio.sleep(0.02)
        assert most == 2


async def test_nothing_is_left_of_twenty_that_were_left_in_the_middle() -> None:
    program = "import sys\nwhile True: print('x', flush=True)"
    seen: set[int] = set()
    async with transport(program, at_once=20) as made:

        async def one(number: int) -> None:
            # Half of them may be left while they start, the others after their first words.
            with trio.move_on_after(0.01 * number if number % 2 else 30):
                response = await made.handle_async_request(request())
                seen.update(run._process.pid for run in made._runs if run._process is not None)
                with trio.move_on_after(0.01 * number):
                    await response.aread()
                await response.aclose()

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(one, number)
    assert seen
    # Not even to be buried.
    assert {state(pid) for pid in seen} == {""}

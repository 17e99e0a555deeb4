"""Callers who leave their streams, by the thousand, leave nothing in the daemon: not an object, nor an entry anywhere, for each.

Counted are objects and what containers hold, not resident memory, which says as much of the allocator as of us. Before each
count hours pass on the clock: idle connections have closed, and trio has dropped the deadlines that were left early, of which
it keeps a thousand or more.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from collections import Counter, deque
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import trio
from llm_dispatcher.runtime import Dispatcher
from llm_dispatcher.runtime.gateway.app import Gateway
from llm_dispatcher.runtime.wire.client import TrioTransport
from trio.testing import MockClock

from tests.fakes.scripted import piece
from tests.house.test_garbage import served

_LEFT: Final = 1_000
_AT_ONCE: Final = 20
_PATIENCE: Final = 0.005
"""Seconds after which a caller leaves who does not wait for the first chunk."""


async def vendor(_scope: Any, receive: Any, send: Any) -> None:
    """Begins every stream, at once or in the twentieth of a second, and ends none."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    if b"slowly" in body:
        await trio.sleep(0.05)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": piece("well"), "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass


async def leave(client: TrioTransport, url: str, number: int) -> None:
    """Every second caller leaves after the first chunk, the others before it."""
    early = bool(number % 2)
    content = "slowly" if early else "quickly"
    chat = {
        "model": "m",
        "stream": True,
        "user": f"u{number}",
        "messages": [{"role": "user", "content": content}],
    }
    request = httpx.Request("POST", f"{url}/chat/completions", json=chat)
    with trio.move_on_after(_PATIENCE if early else 30):
        response = await client.handle_async_request(request)
        body: Any = response.stream
        assert response.status_code == 200
        assert isinstance(body, AsyncIterable)
        assert await anext(aiter(body))
        await response.aclose()
        return
    assert early


async def leave_many(client: TrioTransport, url: str, count: int) -> None:
    numbers = iter(range(count))

    async def caller() -> None:
        for number in numbers:
            await leave(client, url, number)

    async with trio.open_nursery() as nursery:
        for _ in range(_AT_ONCE):
            nursery.start_soon(caller)


async def count_after_hours(clock: MockClock) -> tuple[tuple[str, int], ...]:
    """Objects by their type, and the entries of all containers of each type: numbers and texts are no objects to the collector.

    As a tuple, which the next count does not count.
    """
    for _ in range(3):
        clock.jump(7_200)
        await trio.sleep(0.05)
    gc.collect()
    found: Counter[str] = Counter()
    for each in gc.get_objects():
        if each is found:
            continue
        found[type(each).__qualname__] += 1
        if isinstance(each, list | dict | set | deque):
            found[f"in a {type(each).__qualname__}"] += len(each)
    return tuple(found.items())


async def measure(clock: MockClock) -> None:
    """Raises `AssertionError` if a thousand callers who left have left something behind."""
    client = TrioTransport()
    async with served(vendor) as base:
        settings = {"vendors": [{"name": "v", "base_url": base, "api_key": "k", "models": [{"name": "m"}]}]}
        async with Dispatcher.open(settings) as dispatcher, served(Gateway(dispatcher)) as url:
            await leave_many(client, url, _LEFT // 10)
            before = await count_after_hours(clock)
            await leave_many(client, url, _LEFT)
            after = await count_after_hours(clock)
    await client.aclose()
    more = Counter(dict(after)) - Counter(dict(before))
    assert more.total() < _LEFT / 10, more.most_common(10)


def main() -> None:
    """In a process of its own, where nothing else makes objects meanwhile."""
    clock = MockClock(rate=1.0)
    trio.run(measure, clock, clock=clock)


@pytest.mark.slow
def test_a_thousand_streams_that_their_callers_left_leave_no_object_behind() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import main; main()"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr

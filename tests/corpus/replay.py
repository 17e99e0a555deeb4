"""Dispatch every recorded exchange end to end, and print how many were right: `python -m tests.corpus.replay`.

A replaying vendor serves each recording over a real loopback socket; a dispatcher with one vendor per recording asks
for it, plain or streamed, and what comes out is compared with the format's oracle. A refused exchange must be an
error of the right class. A stream that the vendor did not end, or in which it reported an error, must be an error.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec
import trio
from llm_dispatcher.runtime import Dispatcher, DispatchError, Message, Request

from tests.fakes.replaying import ReplayingVendor

from . import (
    ROOT,
    Expected,
    Recording,
    folder,
    oracle_chat_completions,
    oracle_generate_content,
    oracle_messages,
    oracle_responses,
)
from .compare import found_in

__all__ = ["FOLDERS", "Result", "replay"]

FOLDERS: dict[str, tuple[str, ModuleType]] = {
    "openai-chat": ("openai", oracle_chat_completions),
    "azure-openai-chat": ("azure", oracle_chat_completions),
    "anthropic-messages": ("anthropic", oracle_messages),
    "gemini-generate": ("google", oracle_generate_content),
    "vertex-generate": ("google", oracle_generate_content),
    "openai-responses": ("openai-responses", oracle_responses),
    "azure-openai-responses": ("azure-responses", oracle_responses),
    "azure-ai-responses": ("azure-responses", oracle_responses),
    "deepseek-responses": ("openai-responses", oracle_responses),
    "openrouter-responses": ("openai-responses", oracle_responses),
    "xai-responses": ("openai-responses", oracle_responses),
    "llamacpp-responses": ("openai-responses", oracle_responses),
}
"""Folder -> the dialect that it is dispatched through, and the oracle of its format."""

_HELLO = [Message("user", "hello")]


class Result(msgspec.Struct):
    """What became of one folder: per kind (plain, streamed, refused) tried and right, and what was wrong."""

    tried: Counter[str]
    right: Counter[str]
    wrong: list[str]


def kind_of(recording: Recording) -> str:
    """How the exchange is counted."""
    if recording.refused:
        return "refused"
    return "streamed" if recording.stream else "plain"


async def replay(name: str) -> Result:
    """Dispatch every recording of one folder."""
    dialect, oracle = FOLDERS[name]
    recordings = folder(name)
    result = Result(Counter(), Counter(), [])
    vendor = ReplayingVendor(recordings)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(vendor.run)
        settings = _configuration(dialect, len(recordings), port)
        places = trio.CapacityLimiter(16)
        async with Dispatcher.open(settings) as dispatcher, trio.open_nursery() as callers:

            async def one(number: int, recording: Recording) -> None:
                async with places:
                    verdict = await _judge(dispatcher, number, recording, oracle)
                kind = kind_of(recording)
                result.tried[kind] += 1
                result.right[kind] += verdict is None
                if verdict is not None:
                    result.wrong.append(f"{recording.name}: {verdict}")

            for number, recording in enumerate(recordings):
                callers.start_soon(one, number, recording)
        nursery.cancel_scope.cancel()
    return result


def _configuration(dialect: str, count: int, port: int) -> dict[str, Any]:
    vendors = [
        {
            "name": f"v{number}",
            "dialect": dialect,
            "base_url": f"http://127.0.0.1:{port}/{number}",
            "api_key": "key",
            "models": [{"name": "m"}],
        }
        for number in range(count)
    ]
    return {"vendors": vendors, "retry": {"attempts": 1}}


async def _judge(dispatcher: Dispatcher, number: int, recording: Recording, oracle: ModuleType) -> str | None:
    """None if the dispatcher made of the recording what its oracle says, else what is wrong."""
    request = Request(model=f"v{number}/m", messages=_HELLO, timeout=30)
    ask: Callable[..., Any] = _streamed if recording.stream else _plain
    try:
        completion = await ask(dispatcher, request)
    except DispatchError as error:
        if recording.refused:
            kind = oracle.expected_fault(recording)
            return None if error.kind is kind else f"class {error.kind.value}, not {kind.value}: {error}"
        want: Expected = oracle.expected(recording)
        return f"failed: {error}" if want.complete else None
    if recording.refused:
        return "a refusal was taken for an answer"
    want = oracle.expected(recording)
    if not want.complete:
        return "a stream that its vendor did not end was reported complete"
    found = found_in(completion, want)
    return None if found == want else f"found {found}, not {want}"


async def _plain(dispatcher: Dispatcher, request: Request) -> Any:
    return (await dispatcher.send(request)).completion


async def _streamed(dispatcher: Dispatcher, request: Request) -> Any:
    async with dispatcher.stream(request) as events:
        async for _ in events:
            pass
    if events.reply is None:
        raise RuntimeError("a stream ended without a reply and without an error")
    return events.reply.completion


async def _main() -> int:
    from rich.console import Console
    from rich.table import Table

    table = Table("folder", "dialect", "plain", "streamed", "refused", "tried", "right", "wrong")
    wrong: list[str] = []
    for name, (dialect, _) in FOLDERS.items():
        result = await replay(name)
        cells = [f"{result.right[kind]}/{result.tried[kind]}" for kind in ("plain", "streamed", "refused")]
        tried, right = result.tried.total(), result.right.total()
        table.add_row(name, dialect, *cells, str(tried), str(right), str(tried - right))
        wrong += result.wrong
    console = Console()
    console.print(table)
    for line in wrong:
        console.print(line[:2000], style="red", markup=False)
    return 1 if wrong else 0


if __name__ == "__main__":
    if not ROOT.is_dir():
        sys.exit(f"no recorded vendor traffic at {ROOT}: set LLM_DISPATCHER_CORPUS")
    sys.exit(trio.run(_main))

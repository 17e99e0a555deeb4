"""Dispatch every recorded exchange end to end, and print how many were right: `python -m tests.corpus.replay`.

A replaying vendor serves each recording over a real loopback socket; a dispatcher with one vendor per recording, as
the catalogue knows it, asks for it, plain or streamed, and what comes out is compared with the format's oracle. A
refused exchange must be an error of the right class, and so must an error within an answer of status 200. A stream
that the vendor did not end must be an error.
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
    Recording,
    folder,
    oracle_chat_completions,
    oracle_cohere,
    oracle_completions,
    oracle_converse,
    oracle_embeddings,
    oracle_generate_content,
    oracle_messages,
    oracle_ollama,
    oracle_responses,
)
from .compare import found_in
from .judgements import judged

__all__ = ["FOLDERS", "Result", "replay", "spoken"]

FOLDERS: dict[str, tuple[str, ModuleType]] = {
    "openai-chat": ("openai", oracle_chat_completions),
    "azure-openai-chat": ("azure", oracle_chat_completions),
    "azure-ai-chat": ("azure-ai", oracle_chat_completions),
    "anthropic-messages": ("anthropic", oracle_messages),
    "gemini-generate": ("google", oracle_generate_content),
    "gemini-chat": ("gemini-openai", oracle_chat_completions),
    "vertex-generate": ("vertex", oracle_generate_content),
    "vertex-messages": ("vertex-anthropic", oracle_messages),
    "cohere-chat": ("cohere", oracle_cohere),
    "bedrock-converse": ("bedrock", oracle_converse),
    "groq-chat": ("groq", oracle_chat_completions),
    "openrouter-chat": ("openrouter", oracle_chat_completions),
    "deepseek-chat": ("deepseek", oracle_chat_completions),
    "xai-chat": ("xai", oracle_chat_completions),
    "together-chat": ("together", oracle_chat_completions),
    "perplexity-chat": ("perplexity", oracle_chat_completions),
    "cerebras-chat": ("cerebras", oracle_chat_completions),
    "zai-chat": ("zai", oracle_chat_completions),
    "mistral-chat": ("mistral", oracle_chat_completions),
    "alibaba-chat": ("alibaba", oracle_chat_completions),
    "huggingface-chat": ("huggingface", oracle_chat_completions),
    "vercel-gateway-chat": ("vercel", oracle_chat_completions),
    "ollama-chat": ("ollama", oracle_chat_completions),
    "ollama-native": ("ollama-native", oracle_ollama),
    "llamacpp-chat": ("llamacpp", oracle_chat_completions),
    "openai-responses": ("openai-responses", oracle_responses),
    "azure-openai-responses": ("azure-responses", oracle_responses),
    "azure-ai-responses": ("azure-responses", oracle_responses),
    "deepseek-responses": ("openai-responses", oracle_responses),
    "openrouter-responses": ("openai-responses", oracle_responses),
    "xai-responses": ("openai-responses", oracle_responses),
    "llamacpp-responses": ("openai-responses", oracle_responses),
    "openai-embeddings": ("openai", oracle_embeddings),
    "azure-openai-embeddings": ("azure", oracle_embeddings),
    "azure-ai-embeddings": ("azure-ai", oracle_embeddings),
    "gemini-embeddings": ("google", oracle_embeddings),
    "vertex-embeddings": ("google", oracle_embeddings),
    "cohere-embeddings": ("cohere", oracle_embeddings),
    "mistral-embeddings": ("mistral", oracle_embeddings),
    "openrouter-embeddings": ("openrouter", oracle_embeddings),
    "llamacpp-embeddings": ("llamacpp", oracle_embeddings),
    "openai-completions": ("openai", oracle_completions),
    "together-completions": ("together", oracle_completions),
}
"""Folder -> the vendor of the catalogue, or the dialect, that it is dispatched through, and the oracle of its format. An oracle
of another operation than chat says besides how its model is configured, how the dispatcher is asked, and what it found."""

_DIALECTS = frozenset({"openai-responses", "azure-responses"})

_TWO_DOORS = {"ollama-chat": ("ollama-chat", False), "ollama-native": ("ollama-chat", True)}
"""Ollama has an interface of its own beside the OpenAI-compatible one, and the recordings of both are in one folder."""
_OWN_DOOR = "/api/chat"

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


def spoken(name: str) -> tuple[Recording, ...]:
    """The recordings of one folder, those of another of the vendor's interfaces left out."""
    if name in _TWO_DOORS:
        place, own = _TWO_DOORS[name]
        return tuple(each for each in folder(place) if each.url.endswith(_OWN_DOOR) is own)
    is_spoken = getattr(FOLDERS[name][1], "is_spoken", lambda _: True)
    return tuple(each for each in folder(name) if is_spoken(each))


async def replay(name: str) -> Result:
    """Dispatch every recording of one folder."""
    known, oracle = FOLDERS[name]
    recordings = spoken(name)
    result = Result(Counter(), Counter(), [])
    vendor = ReplayingVendor(recordings)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(vendor.run)
        settings = _configuration(known, [_model(oracle, each) for each in recordings], port)
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


def _model(oracle: ModuleType, recording: Recording) -> dict[str, Any]:
    of: Callable[[Recording], dict[str, Any]] = getattr(oracle, "model", lambda _: {})
    return {"name": "m", **of(recording)}


def _configuration(known: str, models: list[dict[str, Any]], port: int) -> dict[str, Any]:
    vendors = [
        {
            "name": f"v{number}",
            "dialect" if known in _DIALECTS else "catalogue": known,
            "base_url": f"http://127.0.0.1:{port}/{number}",
            "api_key": "key",
            "models": [model],
        }
        for number, model in enumerate(models)
    ]
    return {"vendors": vendors, "retry": {"attempts": 1}}


async def _judge(dispatcher: Dispatcher, number: int, recording: Recording, oracle: ModuleType) -> str | None:
    """None if the dispatcher made of the recording what its oracle says, else what is wrong."""
    ask: Callable[..., Any] = getattr(oracle, "ask", _chat)
    try:
        answer = await ask(dispatcher, f"v{number}/m", recording)
    except DispatchError as error:
        kind = oracle.expected_fault(recording) if recording.refused else judged().get(recording.name)
        if kind is not None:
            return None if error.kind is kind else f"class {error.kind.value}, not {kind.value}: {error}"
        want: Any = oracle.expected(recording)
        return f"failed: {error}" if want.complete else None
    if recording.refused:
        return "a refusal was taken for an answer"
    want = oracle.expected(recording)
    if not want.complete:
        return "a stream that its vendor did not end was reported complete"
    found = getattr(oracle, "found_in", found_in)(answer, want)
    return None if found == want else f"found {found}, not {want}"


async def _chat(dispatcher: Dispatcher, model: str, recording: Recording) -> Any:
    request = Request(model=model, messages=_HELLO, timeout=30)
    return await (_streamed if recording.stream else _plain)(dispatcher, request)


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

    table = Table("folder", "vendor", "plain", "streamed", "refused", "tried", "right", "wrong")
    wrong: list[str] = []
    for name, (known, _) in FOLDERS.items():
        result = await replay(name)
        cells = [f"{result.right[kind]}/{result.tried[kind]}" for kind in ("plain", "streamed", "refused")]
        tried, right = result.tried.total(), result.right.total()
        table.add_row(name, known, *cells, str(tried), str(right), str(tried - right))
        wrong += result.wrong
    # Without a terminal rich would fold the table into 80 columns.
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    for line in wrong:
        console.print(line[:2000], style="red", markup=False)
    return 1 if wrong else 0


if __name__ == "__main__":
    if not ROOT.is_dir():
        sys.exit(f"no recorded vendor traffic at {ROOT}: set LLM_DISPATCHER_CORPUS")
    sys.exit(trio.run(_main))

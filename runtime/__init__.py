"""The data plane, and the public interface of the dispatcher. ::

    from llm_dispatcher.runtime import Dispatcher, Message, Request

    async with Dispatcher.open("dispatcher.toml") as dispatcher:
        reply = await dispatcher.send(Request(model="auto", messages=[Message("user", "Hello")]))

A tour: the way of one request.

1. It arrives at the `gateway` (HTTP) or from your own code, in the one language spoken indoors (`canon`).
2. A `journey` is made of it: one deadline, a record of attempts, the retries that it may spend. It asks the router's
   actor for a lease (`llm_dispatcher.actors`).
3. An `attempt` makes the exchange under that lease: the deployment's dialect (`dialects`) writes the HTTP
   request, the transport (`wire`) sends it (`credentials` puts on what expires or signs; the vendor may be a program on this
   machine), and the dialect's decoder turns what comes back into events. Its `pace`
   says how long the vendor may be waited for (`stalls`: unless it was we who stood still), its bill (`money`) what it
   comes to, however it ends.
4. `dispatch` makes attempts until one answers: a fault before the first content is made good by the next one, and where
   a route wishes it a slow vendor gets company (`race`). Every attempt's end is told to the vendor's actor and to
   the statistics, once.
   What kind of work it is (`operations`: chat, text completion, embeddings) only matters to who writes the vendor's
   request and reads its answer.
5. After the first content of a `stream` a fault is an error, or another vendor takes over (`midstream`).
   An answer may be read to its end after its caller has left (`detached`).
6. `assembly` makes a whole reply of the events where one is wanted; `prices` says what it cost. Embeddings (`vectors`)
   of more texts than a vendor takes in one call travel in several (`batches`).

A request of a vendor's own interface may also be passed on as it came (`passing`): it goes the same way, without a
translation.

`dispatcher` builds all this from a configuration (`config`, `plan`, `connections`); `cli` and `daemon` are what people start,
and `asgi` is for those who have an ASGI server of their own. The daemon watches what the process is short of (`overload`,
`process`), and `gateway.admission` refuses what can best wait. On several cores it serves with several processes under one
parent (`workers`). Operators give `orders`, read in the log what became of circuits and quarantines (`chronicle`) and what
only they can mend (`alerts`), and see the rest in `GET /v1/stats` (`standing`).
The names below are the public interface; they are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .asgi import Application
    from .canon import (
        Audio,
        Choice,
        Completion,
        Event,
        File,
        Finished,
        Image,
        JsonOutput,
        Message,
        Opened,
        Prompt,
        Reasoning,
        Request,
        Text,
        TextDelta,
        Thinking,
        ThinkingDelta,
        Tool,
        ToolCall,
        ToolCallDelta,
        ToolChoice,
        ToolResult,
        Usage,
        UsageReported,
    )
    from .dispatcher import Dispatcher
    from .errors import DispatchError, HouseRefused, RequestRejected, VendorFailed
    from .reply import AttemptRecord, EmbeddingsReply, Reply
    from .vectors import Embed, Embeddings

__all__ = [
    "Application",
    "AttemptRecord",
    "Audio",
    "Choice",
    "Completion",
    "DispatchError",
    "Dispatcher",
    "Embed",
    "Embeddings",
    "EmbeddingsReply",
    "Event",
    "File",
    "Finished",
    "HouseRefused",
    "Image",
    "JsonOutput",
    "Message",
    "Opened",
    "Prompt",
    "Reasoning",
    "Reply",
    "Request",
    "RequestRejected",
    "Text",
    "TextDelta",
    "Thinking",
    "ThinkingDelta",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolChoice",
    "ToolResult",
    "Usage",
    "UsageReported",
    "VendorFailed",
]

_ELSEWHERE = {
    "Application": "asgi",
    "AttemptRecord": "reply",
    "DispatchError": "errors",
    "Dispatcher": "dispatcher",
    "Embed": "vectors",
    "Embeddings": "vectors",
    "EmbeddingsReply": "reply",
    "HouseRefused": "errors",
    "Reply": "reply",
    "RequestRejected": "errors",
    "VendorFailed": "errors",
}
"""Public names that do not live in `canon`, and where they do."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f".{_ELSEWHERE.get(name, 'canon')}", __name__), name)
    globals()[name] = found
    return found

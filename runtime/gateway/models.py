"""What can be asked for, in the shape that the client's own interface has for it.

```
GET /v1/models, /v1/models/{model}            OpenAI's; Anthropic's or Google's for their clients
GET /v1beta/models, /v1beta/models/{model}    Google's
GET /openai/models, /openai/v1/models         OpenAI's
```

Listed are models, `vendor/model`s, routes and modes, all at once: there are no pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from ...actors.faults import FaultClass
from ...actors.routing import Selection
from ..config.schema import OperationName
from ..dispatcher import Dispatcher
from ..errors import UnknownModel
from ..passing.passage import ANY
from .gemini import model_in
from .http import Exchange, encode
from .styles import ANTHROPIC, GOOGLE

__all__ = ["model", "models"]

_EPOCH: Final = "1970-01-01T00:00:00Z"
"""When a model came out, for clients to whom it has to be told: that is not known here."""
_METHODS: Final = {
    "chat": ("generateContent", "countTokens"),
    "embeddings": ("embedContent", "batchEmbedContents"),
}
"""What Google's clients may ask of a model that does so."""


async def models(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """Every name that a request may give as its model."""
    found = _names(dispatcher)
    if exchange.style is GOOGLE:
        body: dict[str, Any] = {"models": [_google(name, each) for name, each in found.items()]}
    elif exchange.style is ANTHROPIC:
        named = list(found)
        body = {"data": [_anthropic(name) for name in named], "has_more": False}
        body |= {"first_id": named[0] if named else None, "last_id": named[-1] if named else None}
    else:
        body = {"object": "list", "data": [_openai(name, each) for name, each in found.items()]}
    await exchange.answer(200, encode(body))


async def model(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """One of them, by the path's end. Raises `UnknownModel`."""
    path = exchange.scope["path"]
    name = model_in(path) or path.partition("/models/")[2]
    selection = _names(dispatcher).get(name)
    if selection is None:
        raise UnknownModel(
            f"no vendor, route or mode serves the model {name!r}",
            kind=FaultClass.BAD_REQUEST,
            status=404,
            code="model_not_found",
            param="model",
        )
    if exchange.style is GOOGLE:
        body = _google(name, selection)
    else:
        body = _anthropic(name) if exchange.style is ANTHROPIC else _openai(name, selection)
    await exchange.answer(200, encode(body))


def _names(dispatcher: Dispatcher) -> Mapping[str, Selection]:
    routing = dispatcher.routing
    named = {**routing.names, **routing.modes}
    return {
        name: each for name, each in named.items() if any(found.model != ANY for found in each.candidates)
    }


def _operations(selection: Selection) -> list[str]:
    """What the candidates do, as the configuration's `operations`."""
    can = frozenset[str]().union(*[candidate.capabilities for candidate in selection.candidates])
    return [each for each in get_args(OperationName) if each in can]


def _openai(name: str, selection: Selection) -> dict[str, Any]:
    """With who serves it, and what it does, as the configuration's `operations`."""
    vendors = sorted({candidate.vendor for candidate in selection.candidates})
    owner = vendors[0] if len(vendors) == 1 else "llm-dispatcher"
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": owner,
        "vendors": vendors,
        "operations": _operations(selection),
    }


def _anthropic(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": _EPOCH}


def _google(name: str, selection: Selection) -> dict[str, Any]:
    return {
        "name": f"models/{name}",
        "displayName": name,
        "inputTokenLimit": max(candidate.context for candidate in selection.candidates),
        "supportedGenerationMethods": [
            method for does in _operations(selection) for method in _METHODS.get(does, ())
        ],
    }

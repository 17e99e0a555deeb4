"""From a path to an endpoint, and to the style of the interface that it belongs to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from ..dispatcher import Dispatcher
from . import admin
from .azure import ask_deployment
from .chat import chat_completions
from .completions import text_completions
from .count_tokens import count_tokens
from .embeddings import embeddings
from .gemini import ask_model
from .http import Exchange
from .messages import messages
from .models import model, models
from .orders import orders
from .responses import responses, stored_response
from .styles import ANTHROPIC, GOOGLE, OPENAI, Style, style_of_client

__all__ = ["BELOW", "ENDPOINTS", "Endpoint", "methods_of", "style_of"]

Endpoint: TypeAlias = Callable[[Dispatcher, Exchange], Awaitable[None]]

ENDPOINTS: Final[dict[str, Mapping[str, Endpoint]]] = {
    "/v1/chat/completions": {"POST": chat_completions},
    "/v1/messages": {"POST": messages},
    "/v1/messages/count_tokens": {"POST": count_tokens},
    "/v1/responses": {"POST": responses},
    "/v1/completions": {"POST": text_completions},
    "/v1/embeddings": {"POST": embeddings},
    "/v1/models": {"GET": models},
    "/v1/stats": {"GET": admin.stats},
    "/v1/orders": {"POST": orders},
    "/v1beta/models": {"GET": models},
    "/v1beta1/models": {"GET": models},
    "/openai/models": {"GET": models},
    "/openai/responses": {"POST": responses},
    "/openai/v1/chat/completions": {"POST": chat_completions},
    "/openai/v1/completions": {"POST": text_completions},
    "/openai/v1/embeddings": {"POST": embeddings},
    "/openai/v1/models": {"GET": models},
    "/openai/v1/responses": {"POST": responses},
    "/health": {"GET": admin.health},
    "/ready": {"GET": admin.ready},
}

_STORED: Final[Mapping[str, Endpoint]] = dict.fromkeys(("GET", "POST", "DELETE"), stored_response)
_MODEL: Final[Mapping[str, Endpoint]] = {"GET": model, "POST": ask_model}

BELOW: Final[tuple[tuple[str, Mapping[str, Endpoint]], ...]] = (
    ("/v1/responses/", _STORED),
    ("/openai/responses/", _STORED),
    ("/openai/v1/responses/", _STORED),
    ("/openai/v1/models/", {"GET": model}),
    ("/openai/models/", {"GET": model}),
    ("/openai/deployments/", {"POST": ask_deployment}),
    *[
        (f"/{version}/{collection}/", _MODEL)
        for version in ("v1beta", "v1", "v1beta1")
        for collection in ("models", "publishers", "projects")
    ],
)
"""Beginnings of paths whose rest is a name."""

STYLES: Final[dict[Endpoint, Style]] = {
    chat_completions: OPENAI,
    responses: OPENAI,
    text_completions: OPENAI,
    embeddings: OPENAI,
    stored_response: OPENAI,
    ask_deployment: OPENAI,
    messages: ANTHROPIC,
    count_tokens: ANTHROPIC,
    ask_model: GOOGLE,
}
"""Endpoints that belong to one interface; elsewhere the path says it, or else a client is answered in the style of its own."""

_OF_PATHS: Final = (("/v1beta", GOOGLE), ("/openai/", OPENAI))


def methods_of(path: str) -> Mapping[str, Endpoint] | None:
    """The endpoints at `path`, by HTTP method; None if there is nothing."""
    found = ENDPOINTS.get(path) or ENDPOINTS.get(path.rstrip("/"))
    return found or next((methods for beginning, methods in BELOW if path.startswith(beginning)), None)


def style_of(
    path: str, method: str, methods: Mapping[str, Endpoint] | None, headers: Mapping[bytes, bytes]
) -> Style:
    """The style in which a request is answered."""
    if methods is not None:
        style = STYLES.get(methods.get(method) or next(iter(methods.values())))
        if style is not None:
            return style
    style = next((style for beginning, style in _OF_PATHS if path.startswith(beginning)), None)
    return style or style_of_client(headers)

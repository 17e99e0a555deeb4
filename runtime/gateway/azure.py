"""Azure's way to OpenAI's interfaces: `POST /openai/deployments/{deployment}/chat/completions?api-version=...`, and likewise
`completions` and `embeddings`.

The deployment is the name of a model, a route or a mode, as `model` is elsewhere; it counts, whatever the body says. Versions
are not looked at: what is read and written is OpenAI's own format, which theirs all are. What Azure has without a deployment
(`/openai/responses`, `/openai/models`, and all of them below `/openai/v1`) is in the table of `routes`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from ...actors.faults import FaultClass
from ..dispatcher import Dispatcher
from ..errors import RequestRejected
from .chat import chat
from .completions import complete
from .embeddings import embed
from .http import Exchange

__all__ = ["ask_deployment"]

_Operation: TypeAlias = Callable[[Dispatcher, Exchange, str | None], Awaitable[None]]

_OPERATIONS: Final[dict[str, _Operation]] = {
    "chat/completions": chat,
    "completions": complete,
    "embeddings": embed,
}
_PATH: Final = re.compile(
    rf"/openai/deployments/(?P<deployment>[^/].*?)/(?P<operation>{'|'.join(_OPERATIONS)})/?"
)


async def ask_deployment(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """Answer what is asked of a deployment. Raises `RequestRejected`, `InvalidBody` and `DispatchError` before the answer has
    begun."""
    path = exchange.scope["path"]
    found = _PATH.fullmatch(path)
    if found is None:
        raise RequestRejected(
            f"there is nothing at {path}; of a deployment one asks {', '.join(_OPERATIONS)}",
            kind=FaultClass.BAD_REQUEST,
            status=404,
            code="not_found",
        )
    await _OPERATIONS[found["operation"]](dispatcher, exchange, found["deployment"])

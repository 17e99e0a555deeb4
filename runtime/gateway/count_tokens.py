"""`POST /v1/messages/count_tokens`: how large a request is, estimated. Google's interface asks it as `:countTokens`.

No vendor is asked and nothing is spent. The number is the dispatcher's own estimate (`runtime.estimate`), the one by
which it keeps vendors' limits, and no count of any model's tokens: characters of text, calls and tools,
and a fixed size for each image. Documents and the tools that run at a vendor are not counted.
"""

from __future__ import annotations

from ...actors.faults import FaultClass
from ..canon import Request
from ..dispatcher import Dispatcher
from ..errors import UnknownModel
from ..estimate import facts_of
from .http import Exchange, encode
from .messages import read_request

__all__ = ["count_tokens", "estimate"]


async def count_tokens(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """Answer with the estimate. Raises `InvalidBody`, and `UnknownModel` for a name that nobody serves."""
    request = (await read_request(dispatcher, exchange)).request
    await exchange.answer(200, encode({"input_tokens": estimate(dispatcher, request)}))


def estimate(dispatcher: Dispatcher, request: Request) -> int:
    """How many tokens `request` comes to. Raises `UnknownModel` for a name that nobody serves."""
    routing = dispatcher.routing
    if request.model not in routing.names and request.model not in routing.modes:
        raise UnknownModel(
            f"no vendor, route or mode serves the model {request.model!r}",
            kind=FaultClass.BAD_REQUEST,
            status=404,
            code="model_not_found",
            param="model",
        )
    return facts_of(request, int(dispatcher.config.long_context)).input_tokens

"""The endpoints about the house itself: what it serves, whether it is well, what it has done."""

from __future__ import annotations

from typing import Any, get_args

from ...actors.faults import FaultClass
from ...actors.routing import Selection
from ..config.schema import OperationName
from ..dispatcher import Dispatcher
from ..errors import UnknownModel
from .http import Exchange, encode

__all__ = ["health", "model", "models", "ready", "stats"]


async def health(_dispatcher: Dispatcher, exchange: Exchange) -> None:
    """`GET /health`: the process is alive."""
    await exchange.answer(200, b'{"status":"alive"}')


async def ready(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """`GET /ready`: 200 while requests are taken, 503 while starting, draining, or without any vendor."""
    if dispatcher.ready():
        await exchange.answer(200, b'{"status":"ready"}')
    else:
        await exchange.answer(503, b'{"status":"not ready"}')


async def models(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """`GET /v1/models`: every name that a request may give as its model, and what may be asked of it."""
    listed = [
        _told(name, selection) for name, selection in _names(dispatcher).items() if selection.candidates
    ]
    await exchange.answer(200, encode({"object": "list", "data": listed}))


async def model(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """`GET /v1/models/{id}`: one of them. Raises `UnknownModel`. A name may hold slashes, as `vendor/model` does."""
    name = exchange.scope["path"].removeprefix("/v1/models/")
    selection = _names(dispatcher).get(name)
    if selection is None or not selection.candidates:
        raise UnknownModel(
            f"no vendor, route or mode serves the model {name!r}",
            kind=FaultClass.BAD_REQUEST,
            status=404,
            code="model_not_found",
            param="model",
        )
    await exchange.answer(200, encode(_told(name, selection)))


def _names(dispatcher: Dispatcher) -> dict[str, Selection]:
    routing = dispatcher.routing
    return {**routing.names, **routing.modes}


def _told(name: str, selection: Selection) -> dict[str, Any]:
    """A model as OpenAI's clients want it, with who serves it and which `operations` it does."""
    candidates = selection.candidates
    vendors = sorted({candidate.vendor for candidate in candidates})
    owner = vendors[0] if len(vendors) == 1 else "llm-dispatcher"
    can = frozenset[str]().union(*[candidate.capabilities for candidate in candidates])
    operations = [each for each in get_args(OperationName) if each in can]
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": owner,
        "vendors": vendors,
        "operations": operations,
    }


async def stats(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """`GET /v1/stats`: the statistics; how each deployment, the actors and the front door are; who waits; whether our
    network is down; what is left for retries and hedges; how circuits moved."""
    body = {
        "statistics": dispatcher.statistics(),
        "vendors": await dispatcher.standing(),
        "actors": dispatcher.actors(),
        "transitions": dispatcher.transitions(),
        "waiting": dispatcher.waiting(),
        "network": dispatcher.network(),
        "budgets": dispatcher.budgets(),
        **{name: report() for name, report in exchange.reports.items()},
    }
    await exchange.answer(200, encode(body))

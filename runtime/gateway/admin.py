"""The endpoints about the house itself: whether it is well, what it has done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..dispatcher import Dispatcher
from ..workers.protocol import Portrait
from .http import Exchange, Report, encode

__all__ = ["health", "portrait", "ready", "stats"]


async def health(_dispatcher: Dispatcher, exchange: Exchange) -> None:
    """`GET /health`: the process is alive."""
    await exchange.answer(200, b'{"status":"alive"}')


async def ready(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """`GET /ready`: 200 while requests are taken, 503 while starting, draining, or without any vendor."""
    if dispatcher.ready():
        await exchange.answer(200, b'{"status":"ready"}')
    else:
        await exchange.answer(503, b'{"status":"not ready"}')


async def stats(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """`GET /v1/stats`: the statistics; how each deployment, the actors and the front door are; who waits; whether our
    network is down; what is left for retries and hedges; how circuits moved."""
    standing = await _standing(dispatcher, exchange.reports)
    if exchange.fellows is None:
        body = {"statistics": dispatcher.statistics(), **standing}
    else:
        body = await exchange.fellows.stats(_as_portrait(dispatcher, standing))
    await exchange.answer(200, encode(body))


async def portrait(dispatcher: Dispatcher, reports: Mapping[str, Report]) -> Portrait:
    """What this process alone has to say, for one that asks for all."""
    return _as_portrait(dispatcher, await _standing(dispatcher, reports))


def _as_portrait(dispatcher: Dispatcher, standing: dict[str, Any]) -> Portrait:
    return Portrait(encode(standing), msgspec.msgpack.encode(dispatcher.ledger.image()))


async def _standing(dispatcher: Dispatcher, reports: Mapping[str, Report]) -> dict[str, Any]:
    """Everything but the statistics."""
    return {
        "vendors": await dispatcher.standing(),
        "actors": dispatcher.actors(),
        "transitions": dispatcher.transitions(),
        "waiting": dispatcher.waiting(),
        "network": dispatcher.network(),
        "budgets": dispatcher.budgets(),
        **{name: report() for name, report in reports.items()},
    }

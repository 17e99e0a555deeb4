"""The endpoints about the house itself: whether it is well, what it has done."""

from __future__ import annotations

from ..dispatcher import Dispatcher
from .http import Exchange, encode

__all__ = ["health", "ready", "stats"]


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

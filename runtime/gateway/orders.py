"""`POST /v1/orders`: an operator's word about a vendor, such as `{"target": "openai/gpt-4o", "order": "isolate"}`.

There are no accounts yet, and an order can stop all traffic: so they are taken from this machine only, unless
`server.orders` says otherwise. Never from a web page: whoever runs the daemon on the machine on which he browses would have
every page he opens for an operator. Browsers say where a request comes from (`Origin`), and programs do not.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import msgspec

from ..dialects.base import InvalidBody
from ..dispatcher import Dispatcher
from ..orders import OrderRefused
from .http import Exchange, encode

__all__ = ["orders"]


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    target: str
    order: str


_decode = msgspec.json.Decoder(_Body).decode


async def orders(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """Carry out an order; answers with how the vendor stands then. Raises `InvalidBody` and `OrderRefused`."""
    _admit(exchange, dispatcher.config.server.orders)
    try:
        wanted = _decode(await exchange.body(int(dispatcher.config.server.max_body)))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        example = '{"target": "vendor/model", "order": "isolate"}'
        raise InvalidBody(f"an order is JSON such as {example}: {error}") from None
    snapshot: Any = await dispatcher.order(wanted.target, wanted.order)
    if exchange.fellows is not None:
        snapshot = await exchange.fellows.order(wanted.target, wanted.order, snapshot)
    await exchange.answer(200, encode(snapshot))


def _admit(exchange: Exchange, allowed: str) -> None:
    """Raises `OrderRefused` for who may not give orders."""
    if exchange.header(b"origin") is not None:
        raise OrderRefused(
            "orders are not taken from web pages; use `llm-dispatcher order`, or a program that sends no Origin",
            status=403,
            code="orders_forbidden",
        )
    scope = exchange.scope
    if allowed != "any" and not _is_local(scope.get("client"), scope.get("server")):
        raise OrderRefused(
            'orders are taken from this machine only; give them there, or set server.orders = "any"',
            status=403,
            code="orders_forbidden",
        )


def _is_local(client: Any, server: Any) -> bool:
    """Whether the peer, an ASGI `client`, is this machine. One that is not known is not, unless the `server`'s address is a
    unix socket's, which has no port."""
    if client is None and server is not None and server[1] is None:
        return True
    try:
        address = ipaddress.ip_address(str(client[0]).partition("%")[0])
    except (TypeError, IndexError, ValueError):
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)

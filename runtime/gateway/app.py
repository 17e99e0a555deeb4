"""The ASGI application: it has an endpoint answer (`routes`), and makes an answer of an exception.

It wants its dispatcher to be running: `Gateway(dispatcher)` inside the dispatcher's context. When the client
leaves, the endpoint is cancelled, and with it the exchange with the vendor: by the server where it offers
that (`EXTENSION`), else by a task here that listens for the disconnection.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import trio

from ...actors.log import Log
from ..dialects.base import InvalidBody
from ..dispatcher import Dispatcher
from ..errors import DispatchError
from ..orders import OrderRefused
from .admission import Admission
from .failures import failure_of, headers_of
from .http import (
    BodyTooLarge,
    ClientGone,
    Exchange,
    Fellows,
    Headers,
    Receive,
    Report,
    Scope,
    Send,
    Unserved,
    encode,
    request_id_of,
)
from .orders import orders
from .passthrough import interface_at, pass_on, style_of_interface
from .routes import ENDPOINTS, Endpoint, methods_of, style_of
from .styles import Failure

__all__ = ["EXTENSION", "Gateway"]

log = Log("llm_dispatcher.gateway")

EXTENSION: Final = "llm_dispatcher.cancel_on_disconnect"
"""ASGI extension of a server that cancels the application when the client has left."""

_NEVER_SHED: Final = frozenset({orders})
"""Endpoints that are answered in every overload: an order may be what ends it."""


class Gateway:
    """See the module's docstring. `draining` turns `/ready` to 503 while requests are still served.

    `admission` decides what is taken in under overload; without one everything is. `reports` are further parts of
    `GET /v1/stats`, by name. `fellows`: other processes that serve with this one, for what concerns them all.
    """

    def __init__(
        self, dispatcher: Dispatcher, admission: Admission | None = None, fellows: Fellows | None = None
    ) -> None:
        self._dispatcher = dispatcher
        self._admission = admission or Admission(default=dispatcher.config.server.default_criticality)
        self._fellows = fellows
        self.draining = False
        self.reports: dict[str, Report] = {"admission": self._admission.statistics}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI call."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        path, method = scope["path"], "GET" if scope["method"] == "HEAD" else scope["method"]
        methods = methods_of(path)
        interface = interface_at(self._dispatcher, path) if methods is None else None
        if interface is not None:
            methods, style = {scope["method"]: pass_on}, style_of_interface(interface)
        else:
            style = style_of(path, method, methods, dict(scope["headers"]))
        exchange = Exchange(
            scope, receive, send, self._dispatcher.new_request_id(), style, self.reports, self._fellows
        )
        with suppress(ClientGone):
            await self._serve(scope, exchange, methods)

    def refusal(self, error: Unserved) -> tuple[Headers, bytes]:
        """What a server answers where it cannot, or must not, let us: in the style of the interface that was called."""
        path, headers = error.path, dict(error.headers)
        # Hardly anything but a POST has a body that can be wrong.
        style = style_of(path, "POST", methods_of(path), headers)
        name = request_id_of(headers) or self._dispatcher.new_request_id()
        failure = Failure(
            status=error.status,
            message=str(error),
            code=error.code,
            type="api_error" if error.status >= 500 else "invalid_request_error",
        )
        return [(each, name.encode()) for each in style.id_headers], encode(style.envelope(failure, name))

    async def _serve(self, scope: Scope, exchange: Exchange, methods: Mapping[str, Endpoint] | None) -> None:
        endpoint = await self._find(scope, exchange, methods)
        if endpoint is None:
            return
        if EXTENSION in scope.get("extensions", {}) or scope["method"] != "POST":
            await self._answer(endpoint, exchange)
            return
        await self._watched(endpoint, exchange)

    async def _find(
        self, scope: Scope, exchange: Exchange, methods: Mapping[str, Endpoint] | None
    ) -> Endpoint | None:
        """The endpoint for the method, or None after an answer that there is none."""
        path = scope["path"]
        if methods is None:
            known = ", ".join(ENDPOINTS)
            await _refuse(exchange, 404, f"there is nothing at {path}; there is {known}", "not_found")
            return None
        method = scope["method"]
        endpoint = methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
        if endpoint is None:
            allowed = ", ".join(methods)
            message = f"{path} takes {allowed}, not {scope['method']}"
            await _refuse(exchange, 405, message, "method_not_allowed", allow=allowed)
            return None
        if self.draining and path == "/ready":
            await exchange.answer(503, b'{"status":"draining"}')
            return None
        return endpoint

    async def _watched(self, endpoint: Endpoint, exchange: Exchange) -> None:
        """Run the endpoint; cancel it when the client leaves."""
        inner = exchange.receive
        async with trio.open_nursery() as nursery:
            body_read = trio.Event()

            async def receive() -> Any:
                message = await inner()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    body_read.set()
                return message

            async def watch() -> None:
                await body_read.wait()
                while (await inner())["type"] != "http.disconnect":
                    pass
                nursery.cancel_scope.cancel()

            exchange.receive = receive
            nursery.start_soon(watch)
            await self._answer(endpoint, exchange)
            nursery.cancel_scope.cancel()

    async def _answer(self, endpoint: Endpoint, exchange: Exchange) -> None:
        """Run the endpoint, and turn what it raises into an answer if none has begun."""
        try:
            if (exchange.scope["method"] == "POST" or endpoint is pass_on) and endpoint not in _NEVER_SHED:
                self._admission.admit(exchange)
            await endpoint(self._dispatcher, exchange)
        except DispatchError as error:
            if exchange.started:
                raise
            await exchange.answer(
                error.status, encode(exchange.envelope(failure_of(error))), headers_of(error)
            )
        except InvalidBody as error:
            await _refuse(exchange, 400, str(error), "invalid_request", param=error.param)
        except OrderRefused as error:
            await _refuse(exchange, error.status, error.message, error.code, param=error.param)
        except BodyTooLarge:
            most = int(self._dispatcher.config.server.max_body)
            message = f"the body is larger than {most} bytes (server.max_body)"
            await _refuse(exchange, 413, message, "body_too_large")
        except ClientGone:
            raise
        except Exception as error:
            log.exception("endpoint failed", path=exchange.scope["path"], request_id=exchange.request_id)
            if exchange.started:
                raise
            message = f"internal error ({type(error).__name__}); please report it with this request's id"
            await _refuse(exchange, 500, message, "internal_error", type="api_error")


async def _refuse(
    exchange: Exchange,
    status: int,
    message: str,
    code: str,
    *,
    type: str = "invalid_request_error",
    param: str | None = None,
    allow: str | None = None,
) -> None:
    failure = Failure(status=status, message=message, type=type, code=code, param=param)
    await exchange.answer(
        status, encode(exchange.envelope(failure)), [(b"allow", allow.encode())] if allow else None
    )


async def _lifespan(receive: Receive, send: Send) -> None:
    """The dispatcher has a lifecycle of its own: start-up and shutdown are acknowledged, nothing more."""
    while True:
        message = await receive()
        kind = message["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return

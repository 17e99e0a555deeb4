"""The gateway as an ASGI application with a dispatcher of its own, for any ASGI server that runs on trio. ::

    hypercorn --worker-class trio llm_dispatcher.runtime.asgi:app

`app` takes the configuration that the command line would (LLM_DISPATCHER_CONFIG, else ./dispatcher.toml, else the default); for
another one make an `Application`. The dispatcher lives from the server's `lifespan.startup` to its `lifespan.shutdown`.

What the daemon's own server and process do beside that is the other server's business then: `[server]` says nothing but
`max_body`, `default_criticality` and `orders`, requests are not shed in an overload, and draining is as the server has it. It
says nothing of unix sockets to `server.orders`, either, unless its scopes do.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from .config import Config, Loaded
from .dispatcher import Dispatcher
from .gateway.app import Gateway
from .gateway.http import Receive, Scope, Send

__all__ = ["Application", "app"]


class Application:
    """See the module's text. `config` and `options` are those of `Dispatcher.open`, which is called when the server starts."""

    def __init__(
        self, config: str | PathLike[str] | Config | Loaded | Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        self._config = config
        self._options = options
        self._gateway: Gateway | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI call. RuntimeError if the server has not said `lifespan.startup` before."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._gateway is None:
            raise RuntimeError("the dispatcher is not running: the server has to support ASGI's lifespan")
        else:
            await self._gateway(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        begun = False
        try:
            async with Dispatcher.open(self._config, **self._options) as dispatcher:
                self._gateway = Gateway(dispatcher)
                await send({"type": "lifespan.startup.complete"})
                begun = True
                await receive()
                self._gateway.draining = True
        except Exception as error:
            phase = "shutdown" if begun else "startup"
            await send({"type": f"lifespan.{phase}.failed", "message": str(error)})
            raise
        finally:
            self._gateway = None
        await send({"type": "lifespan.shutdown.complete"})


app = Application()

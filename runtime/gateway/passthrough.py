"""`/{vendor}/...`: any method and path of a vendor's own interface, where the configuration says `passthrough`.

The request goes to the vendor as it came, with the vendor's key in place of the client's; the answer comes back as it is,
refusals included. Who reaches the port reaches all that the key allows (files, fine-tuning, perhaps the account itself), so
it is off unless it is wanted, and nothing is passed on for web pages: whoever runs the daemon on the machine on which he
browses would have every page that he opens ask in his name. Browsers say where a request comes from (`Origin`).

A request is taken in whole before it is sent (`server.max_body`), so that it can be sent again; an answer goes on piece by
piece, and no faster than the client takes it. What breaks off in the middle ends without an end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import trio

from ...actors.faults import FaultClass
from ..dispatcher import Dispatcher
from ..errors import DispatchError, RequestRejected
from ..passing.headers import for_client, for_vendor
from ..passing.knowledge import Interface
from ..passing.passage import Passage
from ..passing.paths import Misguided, checked_path, cleaned_query
from ..passing.stream import Passing
from .dispatching import headers_of_attempt, with_headers
from .http import Exchange, Headers
from .styles import ANTHROPIC, GOOGLE, OPENAI, Style

__all__ = ["interface_at", "pass_on", "style_of_interface"]

_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"})
_STYLES: Final[Mapping[str, Style]] = {"messages": ANTHROPIC, "generate_content": GOOGLE}
_BODILESS: Final = frozenset({204, 205, 304})
_LAST_WORDS: Final = 0.2
"""Seconds after a request's deadline in which its answer may still be taken."""


def interface_at(dispatcher: Dispatcher, path: str) -> Interface | None:
    """The interface that is passed on at `path`; None if none is."""
    return dispatcher.passed_on().get(path.lstrip("/").partition("/")[0])


def style_of_interface(interface: Interface) -> Style:
    """In which envelope the clients of an interface want to hear of errors of ours."""
    return _STYLES.get(interface.format, OPENAI)


async def pass_on(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """Pass one request on. Raises `InvalidBody` and `DispatchError` before the answer has begun."""
    interface = interface_at(dispatcher, exchange.scope["path"])
    if interface is None:
        raise _refusal("the vendor is not served any more", 404, "not_found")
    passage = await _passage(dispatcher, exchange, interface)
    async with dispatcher.passing(passage, request_id=exchange.request_id) as answer:
        with trio.CancelScope(deadline=answer.deadline + _LAST_WORDS):
            await exchange.start(answer.status, _headers(answer))
            try:
                async for piece in answer:
                    await exchange.write(piece)
            except DispatchError:
                # Nothing can be said any more in the vendor's own words: the body is left without its end.
                return
            await exchange.end()


async def _passage(dispatcher: Dispatcher, exchange: Exchange, interface: Interface) -> Passage:
    scope = exchange.scope
    if scope["method"] not in _METHODS:
        listed = ", ".join(sorted(_METHODS))
        raise _refusal(f"what is passed on takes {listed}, not {scope['method']}", 405, "method_not_allowed")
    if exchange.header(b"origin") is not None:
        raise _refusal("nothing is passed on for web pages", 403, "passthrough_forbidden")
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    try:
        path = checked_path(raw.lstrip(b"/").partition(b"/")[2])
        query = cleaned_query(scope.get("query_string", b""))
    except Misguided as error:
        raise _refusal(f"{error}: it is not passed on", 400, "invalid_path") from None
    passage = Passage(
        vendor=interface.vendor,
        model=interface.whole,
        method=scope["method"],
        path=path,
        query=query,
        headers=for_vendor(scope["headers"]),
        body=await exchange.body(int(dispatcher.config.server.max_body)),
    )
    return with_headers(passage, exchange)


def _refusal(message: str, status: int, code: str) -> RequestRejected:
    return RequestRejected(message, kind=FaultClass.BAD_REQUEST, status=status, code=code)


def _headers(answer: Passing) -> Headers:
    """The vendor's header fields that may come back, and who answered."""
    told = for_client(answer.headers)
    lengths = {value for name, value in answer.headers if name.lower() == b"content-length"}
    if len(lengths) == 1 and not answer.refused and answer.status not in _BODILESS:
        told.append((b"content-length", lengths.pop()))
    return [*told, *headers_of_attempt(answer.attempt, len(answer.attempts))]

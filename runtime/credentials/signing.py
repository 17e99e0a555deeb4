"""The way out that puts credentials on what goes through it."""

from __future__ import annotations

import httpx

from ...actors.faults import FaultClass
from ..canon import Fault
from ..dialects import VendorFault
from .base import Credentials, Refused

__all__ = ["SigningTransport"]


class SigningTransport(httpx.AsyncBaseTransport):
    """Another transport, which is not closed by this one: several accounts may share it."""

    def __init__(self, transport: httpx.AsyncBaseTransport, credentials: Credentials) -> None:
        self._transport = transport
        self._credentials = credentials

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As the transport beneath. Raises `VendorFault` before anything is sent if there are no credentials: of class AUTH
        if somebody has to act, else of class CONNECT."""
        try:
            headers = await self._credentials.headers(request)
        except Refused as refusal:
            kind = FaultClass.CONNECT if refusal.passing else FaultClass.AUTH
            fault = Fault(kind=kind, message=str(refusal), because="no credentials to send")
            raise VendorFault(fault) from refusal
        for name, value in headers.items():
            request.headers[name] = value
        return await self._transport.handle_async_request(request)

    async def keep_fresh(self) -> None:
        """What the credentials need done meanwhile; see `Credentials.run`."""
        await self._credentials.run(self._transport)

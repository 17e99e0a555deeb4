"""The way out to a vendor: which transport, through which proxy, within which limits."""

from __future__ import annotations

import os

import httpx

from ..actors.log import Log
from .config import ConfigError, Problem, Vendor
from .config.secrets import without_userinfo
from .wire.client import TrioTransport
from .wire.pool import ClientLimits
from .wire.proxies import proxy_of_environment

__all__ = ["transport_to"]

log = Log("llm_dispatcher.dispatcher")


def transport_to(vendor: Vendor) -> httpx.AsyncBaseTransport:
    """The transport for `vendor` as it is configured. Raises `ConfigError` for a proxy that the environment spells badly."""
    limits = ClientLimits(max_connections=vendor.max_connections)
    proxy = _proxy(vendor)
    try:
        if vendor.http2:
            from .wire.http2 import Http2Transport

            return Http2Transport(limits=limits, proxy=proxy)
        return TrioTransport(limits=limits, proxy=proxy)
    except ValueError as error:
        where = f"vendors ({vendor.name}).proxy" if vendor.proxy else "the environment"
        remedy = "mend HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or set the vendor's `proxy`"
        raise ConfigError([Problem("", where, str(error), remedy)]) from error


def _proxy(vendor: Vendor) -> str | None:
    """The vendor's own, else what the environment says."""
    if vendor.proxy:
        return None if vendor.proxy == "none" else vendor.proxy
    found = proxy_of_environment(httpx.URL(vendor.base_url), os.environ) if vendor.base_url else None
    if found is not None:
        # Whoever wonders about the way that requests take should find it said.
        log.info("by way of the environment's proxy", vendor=vendor.name, proxy=without_userinfo(found))
    return found

"""Addresses of vendors: their parts, and whether one is of this machine or network, where servers want no keys and have no
price lists.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

__all__ = ["is_nearby", "parts_of"]

_OPEN_SUFFIXES: Final = (".local", ".internal", ".lan", ".localhost", ".home.arpa")
"""Names that only mean something inside a network, where servers without keys are common."""


def parts_of(text: str) -> SplitResult | None:
    """The parts of a URL, or None if it is none; a port is checked too."""
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        return None
    return url if text.isascii() and re.fullmatch(r"[\x21-\x7e]+", text) else None


def is_nearby(text: str) -> bool:
    """Whether a URL means this machine or its network; also where there is no address at all."""
    url = parts_of(text)
    host = (url.hostname or "") if url else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_OPEN_SUFFIXES)
    return address.is_loopback or address.is_private or address.is_link_local

"""How many connections one client's address may hold, so that one client cannot take all places."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

__all__ = ["AddressQuota", "is_loopback"]


def _plain(host: str) -> IPv4Address | IPv6Address | None:
    """The address; one of IPv4 in IPv6's clothes as what it is, None for what is no address."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine."""
    address = _plain(host)
    return address is not None and address.is_loopback


def _network(host: str) -> str:
    """What counts as one client: an IPv4 address, and of IPv6 the /64 network, which a single host usually owns."""
    address = _plain(host)
    if isinstance(address, IPv6Address):
        return address.exploded[:19]
    return host if address is None else str(address)


class AddressQuota:
    """Counts connections by address; `most` 0 means without limit. Addresses that are `exempt` are not counted."""

    def __init__(self, most: int, exempt: Callable[[str], bool] = is_loopback) -> None:
        self.most = most
        self._exempt = exempt
        self._held: dict[str, int] = {}

    def take(self, host: str | None) -> str | None:
        """Count a connection from `host` and return what to `give_back`: '' if it is not counted, None if it is one too many."""
        if not self.most or host is None or self._exempt(host):
            return ""
        network = _network(host)
        held = self._held.get(network, 0)
        if held >= self.most:
            return None
        self._held[network] = held + 1
        return network

    def give_back(self, network: str) -> None:
        """A connection that `take` has counted has ended."""
        if not network:
            return
        left = self._held[network] - 1
        if left:
            self._held[network] = left
        else:
            del self._held[network]

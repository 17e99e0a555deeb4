"""Requests that begin alike go where their beginning is already in the vendor's prompt cache: around every policy.

Theory. A vendor recognises a prompt's beginning for some minutes, and then reads it for a fraction of the price and the
time; but each deployment has a cache of its own. So requests of one tenant with one prefix prefer one deployment.
Which it is comes from rendezvous hashing (D. Thaler, C. Ravishankar, 1998): each candidate gets a number from a hash of
tenant, prefix and its name, and the highest is preferred. Nobody needs to remember anything for that, several
dispatchers agree on it, and when a candidate goes only those move that had preferred it.

Load is bounded: a deployment with more than 1.25 times the mean of what its equals have in flight passes requests on to the
next in the hash's order (V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018).

What is remembered, for the life of the vendor's cache, is where the prefix went. It stays there while the scores change
a little, and leaves when they change much or when its deployment takes no traffic; when the cache has gone cold, the hash
decides anew.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from .base import Candidate, View
from .patience import SHORTEST
from .standing import Standing

__all__ = ["Sticky", "rendezvous"]

TTL: Final = 300.0
"""Seconds for which vendors keep a prefix that is not used: five minutes, from the last use."""
MOST: Final = 10_000
"""Prefixes remembered; the one used longest ago is forgotten."""
SPREAD: Final = 1.25
FEW: Final = 4
"""Requests in flight that are never too many, whatever the mean: of two requests, one is twice the mean of two."""

_MASK: Final = 2**64 - 1


class Sticky:
    """Remembers which deployment each tenant's prefixes went to. See the module's docstring."""

    def __init__(self, ttl: float = TTL, most: int = MOST) -> None:
        self._ttl = ttl
        self._most = most
        self._homes: OrderedDict[int, tuple[str, float]] = OrderedDict()

    def __call__(self, ordered: list[Candidate], view: View, standing: Standing) -> list[Candidate]:
        """`ordered` by a policy, with the one that the request's prefix prefers first."""
        if view.route.prefix is None or len(ordered) < 2:
            return ordered
        key = _key(view)
        home = self._warm(key, ordered, view)
        stays = home is not None and _takes_traffic(home, view) and standing.near(ordered[0], home, view)
        if home is None or not stays or _is_crowded(home, ordered, view):
            chosen = _by_hash(key, ordered, view, standing)
        else:
            chosen = home
        # A prefix stays at home though this request does not; and it does not move for a retry's or a hedge's sake.
        if home is not None and stays:
            self._remember(key, home.deployment, view)
        elif chosen is not None and not view.route.tried and view.route.hedge is None:
            self._remember(key, chosen.deployment, view)
        if chosen is None or chosen is ordered[0]:
            return ordered
        return [chosen, *[each for each in ordered if each is not chosen]]

    def home(self, view: View) -> str | None:
        """The deployment that this request's prefix was last sent to, while its cache is warm; None if there is none."""
        if view.route.prefix is None:
            return None
        deployment, until = self._homes.get(_key(view), ("", -math.inf))
        return deployment if view.now < until else None

    def _warm(self, key: int, ordered: Sequence[Candidate], view: View) -> Candidate | None:
        name, until = self._homes.get(key, ("", -math.inf))
        if view.now >= until:
            return None
        return next((each for each in ordered if each.deployment == name), None)

    def _remember(self, key: int, deployment: str, view: View) -> None:
        self._homes[key] = (deployment, view.now + self._ttl)
        self._homes.move_to_end(key)
        if len(self._homes) > self._most:
            self._homes.popitem(last=False)


def _by_hash(key: int, ordered: Sequence[Candidate], view: View, standing: Standing) -> Candidate | None:
    """The one that hashing prefers among the policy's equals, not counting those out of reach or overloaded."""
    equals = [each for each in standing.equals(ordered, view) if _takes_traffic(each, view)]
    free = [each for each in equals if not _is_crowded(each, equals, view)] or equals
    if standing.weighted:
        return max(free, key=lambda each: _weighted(key, each), default=None)
    return max(free, key=lambda each: rendezvous(key, each.deployment), default=None)


def _is_crowded(candidate: Candidate, among: Sequence[Candidate], view: View) -> bool:
    in_flight = view.load(candidate).in_flight
    if in_flight < FEW:
        return False
    total = sum([view.load(each).in_flight for each in among])
    return in_flight >= math.ceil(SPREAD * (total + 1) / len(among))


def _weighted(key: int, candidate: Candidate) -> float:
    """Highest as often as its weight says (weighted rendezvous hashing, J. Resch, SNIA 2015)."""
    if candidate.weight <= 0:
        return 0.0
    # Strictly between 0 and 1: 52 bits and a half are exact in a float.
    share = ((rendezvous(key, candidate.deployment) >> 12) + 0.5) / 2**52
    return -candidate.weight / math.log(share)


def rendezvous(key: int, deployment: str) -> int:
    """The weight of `deployment` for `key`, both evenly spread over 64 bits: the same in every process."""
    mixed = (key ^ _name(deployment)) & _MASK
    # The finaliser of SplitMix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014): every bit depends on every other.
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & _MASK
    return mixed ^ (mixed >> 31)


@functools.lru_cache(maxsize=10_000)
def _name(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


def _key(view: View) -> int:
    """Whose prefix of which model. The model is part of it, since a cache is one model's."""
    route = view.route
    whose = f"{route.tenant}\0{route.model}\0{route.prefix}"
    return int.from_bytes(hashlib.blake2b(whose.encode(), digest_size=8).digest(), "big")


def _takes_traffic(candidate: Candidate, view: View) -> bool:
    """Neither out, nor on trial, nor closed by a limit for longer than is waited in any case."""
    load = view.load(candidate)
    return load.weight >= 1.0 and load.closed_until <= view.now + SHORTEST

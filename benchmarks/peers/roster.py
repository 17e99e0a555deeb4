"""Who is compared, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from .direct import Direct
from .litellm import LiteLLM
from .nginx import Nginx
from .ours import Ours
from .peer import Peer
from .portkey import Portkey

__all__ = ["PEERS"]

PEERS: Final[Mapping[str, Callable[[], Peer]]] = {
    each.name: each for each in (Direct, Nginx, Ours, Portkey, LiteLLM)
}

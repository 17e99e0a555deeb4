"""What has to run before the first request: the vendors, the dispatcher or the client. Each is stopped with the run."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ...runtime import Dispatcher
from .house import scripted_house
from .scripted import VendorProcess, scripted_vendors
from .targets import Address, Target, in_process, over_http

__all__ = ["behind_dispatcher", "by_url", "dispatcher_alone"]


@asynccontextmanager
async def dispatcher_alone(
    dispatcher: Dispatcher, description: str, model: str, *, stream: bool
) -> AsyncIterator[tuple[Target, Sequence[VendorProcess]]]:
    """`dispatcher` in this process, with the vendors of its own configuration."""
    async with in_process(dispatcher, description, model, stream=stream) as target:
        yield target, ()


@asynccontextmanager
async def behind_dispatcher(
    scripts: Sequence[str], model: str, *, port: int, stream: bool, seed: int
) -> AsyncIterator[tuple[Target, Sequence[VendorProcess]]]:
    """A dispatcher in this process, and a scripted vendor process for each of `scripts`."""
    async with scripted_vendors(scripts, port=port, seed=seed) as vendors:
        config = scripted_house([(vendor.name, vendor.url) for vendor in vendors])
        dispatcher = Dispatcher.open(config, rng=random.Random(seed))
        async with in_process(dispatcher, "the dispatcher in this process", model, stream=stream) as target:
            yield target, vendors


@asynccontextmanager
async def by_url(
    address: Address,
    scripts: Sequence[str],
    *,
    port: int,
    stream: bool,
    seed: int,
    timeout: float,
    connections: int,
) -> AsyncIterator[tuple[Target, Sequence[VendorProcess]]]:
    """Whatever answers at `address`; `scripts` are vendors that it has been set up to use, from `port` on."""
    async with (
        scripted_vendors(scripts, port=port, seed=seed) as vendors,
        over_http(address, stream=stream, timeout=timeout, connections=connections) as target,
    ):
        yield target, vendors

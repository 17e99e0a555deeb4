"""The ways out of the house: each vendor's transport, each deployment's dialect, and what an account has to put on.

A transport is a vendor's, a dialect a deployment's, and credentials are an account's: all models of one key share them.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import httpx
import trio

from .config import ConfigError, Problem, Vendor
from .credentials.signing import SigningTransport
from .dialects import Dialect, dialect_class
from .plan import Planned

__all__ = ["WaysOut"]


class WaysOut:
    """`given` takes the place of the transports of the vendors that it names."""

    def __init__(self, given: Mapping[str, httpx.AsyncBaseTransport], rng: random.Random) -> None:
        self._given = given
        self._rng = rng
        self._signing: dict[tuple[str, str], SigningTransport] = {}

    def transport(self, vendor: Vendor) -> httpx.AsyncBaseTransport:
        """A vendor's transport: over the network, simulated, or a program on this machine."""
        if vendor.name in self._given:
            return self._given[vendor.name]
        if vendor.simulate is not None:
            from .simulated import SimulatedTransport

            return SimulatedTransport(vendor.simulate, rng=self._derived_rng(vendor), limits=vendor.limits)
        if vendor.program is not None:
            from .wire.program import ProgramTransport

            program = vendor.program
            return ProgramTransport(
                program.command,
                at_once=program.at_once,
                directory=program.directory,
                environment=program.environment,
            )
        from .connections import transport_to

        return transport_to(vendor)

    def dialect(self, planned: Planned) -> Dialect:
        """The deployment's dialect. Raises `ConfigError` for options that it does not take."""
        with _as_configured(planned):
            return dialect_class(planned.vendor.dialect)(planned.target())

    def signed(
        self, planned: Planned, dialect: Dialect, transport: httpx.AsyncBaseTransport
    ) -> httpx.AsyncBaseTransport:
        """The vendor's transport, with an account's credentials put on where the dialect's door wants any. Raises
        `ConfigError` for those that cannot be used."""
        account = (planned.vendor.name, planned.account)
        if account not in self._signing:
            with _as_configured(planned):
                credentials = dialect.credentials()
            if credentials is None:
                return transport
            self._signing[account] = SigningTransport(transport, credentials)
        return self._signing[account]

    def keep(
        self,
        nursery: trio.Nursery,
        vendors: Iterable[Vendor],
        transports: Mapping[str, httpx.AsyncBaseTransport],
    ) -> None:
        """Keep credentials fresh meanwhile; and connections in readiness, where a vendor's `warm` says so and its transport
        can."""
        for signing in self._signing.values():
            nursery.start_soon(signing.keep_fresh)
        for vendor in vendors:
            warm = getattr(transports[vendor.name], "keep_warm", None)
            if vendor.warm and vendor.base_url and warm is not None:
                nursery.start_soon(warm, httpx.URL(vendor.base_url), vendor.warm)

    def _derived_rng(self, vendor: Vendor) -> random.Random:
        seed = vendor.simulate.seed if vendor.simulate else None
        return random.Random(self._rng.getrandbits(64) if seed is None else seed)


@contextmanager
def _as_configured(planned: Planned) -> Iterator[None]:
    """A `ValueError` within is a flaw of the configuration."""
    try:
        yield
    except ValueError as error:
        remedy = "see the dialect's module for its options"
        raise ConfigError([Problem("", f"vendors ({planned.vendor.name})", str(error), remedy)]) from error

"""Which vendors are served, under which names their deployments go, and what a name stands for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from .interpolation import Missing
from .schema import Config, Model, Vendor

__all__ = [
    "NONE_MISSING",
    "Placement",
    "Serving",
    "Skipped",
    "deployments",
    "keys",
    "placements",
    "resolve",
    "serving",
]

NONE_MISSING: Final[Missing] = MappingProxyType({})


class Skipped(Struct, frozen=True):
    """A vendor that is not served, and why, in words."""

    vendor: str
    reason: str

    def __str__(self) -> str:
        return f"{self.vendor}: {self.reason}"


class Serving(Struct, frozen=True):
    """The vendors that are served, in the order of the configuration, and those that are not."""

    vendors: tuple[Vendor, ...]
    skipped: tuple[Skipped, ...] = ()


class Placement(Struct, frozen=True):
    """One deployment as configured: a model at a vendor, under one of its keys (None: without a key)."""

    name: str
    vendor: str
    model: Model
    key: str | None = None

    def __repr__(self) -> str:
        """Without the key: a representation ends in logs."""
        return f"Placement({self.name!r})"


def serving(config: Config, missing: Missing = NONE_MISSING) -> Serving:
    """Decide which vendors are served, by their `serve`.

    `missing` (see `Loaded`) says which variables would have given a vendor its key or address, so that
    the reason can name them.
    """
    reasons = {vendor.name: _reason(vendor, missing.get(vendor.name, {})) for vendor in config.vendors}
    others = [
        vendor.name for vendor in config.vendors if vendor.serve != "when_alone" and not reasons[vendor.name]
    ]
    if others:
        alone = (
            f"only served when no other vendor is; {_listed(others)} {'is' if len(others) == 1 else 'are'}"
        )
        for vendor in config.vendors:
            if vendor.serve == "when_alone":
                reasons[vendor.name] = alone
    return Serving(
        vendors=tuple(vendor for vendor in config.vendors if not reasons[vendor.name]),
        skipped=tuple(Skipped(name, reason) for name, reason in reasons.items() if reason),
    )


def _reason(vendor: Vendor, missing: Mapping[str, tuple[str, ...]]) -> str:
    """Why a vendor is not served whatever the others are; empty if nothing speaks against it."""
    if vendor.serve == "never":
        return 'switched off; set serve = "always" or "with_key" to use it'
    if vendor.serve != "with_key":
        return ""
    lacks, remedies = [], []
    if keys(vendor) == (None,):
        wanted = missing.get("api_key") or missing.get("api_keys") or ()
        lacks.append("no key")
        remedies.append(_or(wanted) or "api_key")
    if not vendor.base_url and not vendor.is_here:
        lacks.append("no address")
        remedies.append(_or(missing.get("base_url", ())) or "base_url")
    return f"{' and '.join(lacks)}; set {' and '.join(remedies)}" if lacks else ""


def _or(names: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(names))


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def keys(vendor: Vendor) -> tuple[str | None, ...]:
    """A vendor's keys, empty ones left out; `(None,)` if there is none."""
    given = (vendor.api_key, *vendor.api_keys)
    return tuple(key for key in given if key) or (None,)


def placements(vendor: Vendor) -> list[Placement]:
    """A vendor's deployments: each model under each key, the models in order.

    They are called `vendor/model`; from the second key on `vendor/model#2`, `vendor/model#3` and so on.
    """
    return [
        Placement(
            f"{vendor.name}/{model.name}" + (f"#{number}" if number > 1 else ""), vendor.name, model, key
        )
        for model in vendor.models
        for number, key in enumerate(keys(vendor), 1)
    ]


def deployments(vendor: Vendor) -> list[str]:
    """The names of a vendor's deployments; see `placements`."""
    return [placement.name for placement in placements(vendor)]


def resolve(target: str, vendors: Iterable[Vendor]) -> list[str]:
    """The deployments that a route's target stands for, in the order of `vendors`; empty if unknown.

    `vendor/model` stands for that model under each of the vendor's keys, `vendor/model#2` for one of
    them, and a model's name for whoever serves it.
    """
    exact: list[str] = []
    shared: list[str] = []
    for vendor in vendors:
        for placement in placements(vendor):
            if target in (placement.name, f"{vendor.name}/{placement.model.name}"):
                exact.append(placement.name)
            elif target == placement.model.name:
                shared.append(placement.name)
    return exact or shared

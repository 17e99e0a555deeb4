"""A configuration as plain data, for people and programs: what is served, as what, and why not the rest.

No secret is in it: keys are masked, and so are headers and options that are named like secrets, users and
passwords in addresses, and every other place where a key happens to be written.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from .modes import BUILT_IN_MODES, modes
from .schema import Config, TargetTable, Vendor
from .secrets import is_secret, masked, without_userinfo
from .serving import Placement, keys, placements, resolve

if TYPE_CHECKING:
    from . import Loaded

__all__ = ["describe"]

_SCRUBBED_FROM = 8
"""Shorter keys are stand-ins such as `none`; hiding them everywhere would only disfigure words."""


def describe(loaded: Loaded) -> dict[str, Any]:
    """Everything about `loaded` that `llm-dispatcher check` shows, as dicts, lists, text and numbers."""
    config = loaded.config
    serving = loaded.serving
    reasons = {skipped.vendor: skipped.reason for skipped in serving.skipped}
    described = {
        "file": str(loaded.file),
        "packaged": loaded.packaged,
        "env_files": [str(file) for file in loaded.env_files],
        "server": {
            "address": f"http://{_host(config.server.host)}:{config.server.port}",
            **_plain(config.server),
        },
        "logging": _plain(config.logging),
        "timeouts": _plain(config.timeouts),
        "retry": _plain(config.retry),
        "breaker": _plain(config.breaker),
        "supervision": _plain(config.supervision),
        "policy": config.policy,
        "max_waiting": config.max_waiting,
        "long_context": int(config.long_context),
        "vendors": [_vendor(vendor, config, reasons.get(vendor.name, "")) for vendor in config.vendors],
        "deployments": [
            {
                **_placement(each),
                "price_from": loaded.price_sources.get(f"{vendor.name}/{each.model.name}", ""),
            }
            for vendor in serving.vendors
            for each in placements(vendor)
        ],
        "routes": [
            {
                "name": route.name,
                "policy": route.policy,
                "targets": _targets(route.targets),
                "deployments": _deployments(route.targets, serving.vendors),
            }
            for route in config.routes
        ],
        "modes": _modes(config, serving.vendors),
        "rules": [_plain(rule) for rule in config.rules],
    }
    scrubbed: dict[str, Any] = _scrub(described, _secrets(config))
    return scrubbed


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _vendor(vendor: Vendor, config: Config, reason: str) -> dict[str, Any]:
    return {
        "name": vendor.name,
        "served": not reason,
        "reason": reason,
        "serve": vendor.serve,
        "catalogue": vendor.catalogue,
        "dialect": vendor.dialect,
        "address": _address(vendor),
        "keys": [masked(key) for key in keys(vendor) if key],
        "models": [model.name for model in vendor.models],
        "limits": _plain(vendor.limits),
        "limit_model": vendor.limit_model,
        "prices": vendor.prices,
        "timeouts": _plain(vendor.timeouts or config.timeouts),
        "headers": _hide(vendor.headers),
        "proxy": without_userinfo(vendor.proxy) if vendor.proxy else None,
        "max_connections": vendor.max_connections,
        "on_unsupported": vendor.on_unsupported,
        "options": _hide(vendor.options),
        "program": None
        if vendor.program is None
        else {**_plain(vendor.program), "environment": sorted(vendor.program.environment)},
        "simulate": _plain(vendor.simulate),
    }


def _address(vendor: Vendor) -> str:
    if vendor.program is not None:
        return shlex.join(vendor.program.command)
    return "simulated" if vendor.simulate else without_userinfo(vendor.base_url)


def _placement(placement: Placement) -> dict[str, Any]:
    model = placement.model
    return {
        "name": placement.name,
        "vendor": placement.vendor,
        "model": model.name,
        "id": model.id or model.name,
        "context": model.window,
        "max_output": _plain(model.max_output),
        "operations": sorted(model.operations),
        "capabilities": sorted(model.capabilities) if "chat" in model.operations else [],
        "quality": model.quality,
        "price": _plain(model.price),
        "limits": _plain(model.limits),
        "weight": model.weight,
        "options": _hide(model.options),
    }


def _modes(config: Config, served: Sequence[Vendor]) -> list[dict[str, Any]]:
    everything = [each.name for vendor in served for each in placements(vendor) if "texts" in each.model.does]
    return [
        {
            "name": name,
            "built_in": name in BUILT_IN_MODES and name not in config.modes,
            "policy": mode.policy,
            "minimum_quality": mode.minimum_quality,
            "targets": _targets(mode.targets),
            "deployments": _deployments(mode.targets, served) if mode.targets else everything,
        }
        for name, mode in modes(config).items()
    ]


def _targets(targets: Sequence[str | TargetTable]) -> list[dict[str, Any]]:
    return [
        {"to": target, "weight": None}
        if isinstance(target, str)
        else {"to": target.to, "weight": target.weight}
        for target in targets
    ]


def _deployments(targets: Sequence[str | TargetTable], served: Sequence[Vendor]) -> list[str]:
    """What the targets come to among the vendors that are served, each once."""
    names = [target if isinstance(target, str) else target.to for target in targets]
    return list(dict.fromkeys(found for name in names for found in resolve(name, served)))


def _plain(value: Any) -> Any:
    """Structs and units as what JSON knows; keys without a value are left out."""
    if isinstance(value, Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        return {name: _plain(held) for name, held in fields.items() if held is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float | Decimal):
        return float(value)
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _hide(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: masked(value if isinstance(value, str) else "") if is_secret(name) else _hide_inside(value)
        for name, value in settings.items()
    }


def _hide_inside(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _hide({str(key): held for key, held in value.items()})
    if isinstance(value, list):
        return [_hide_inside(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _secrets(config: Config) -> list[str]:
    """Every key, and each part of those of several, the longest first, so that none is half hidden by another that it
    begins with."""
    given = {key for vendor in config.vendors for key in keys(vendor) if key}
    every = {part for key in given for part in (key, *key.split(":")) if len(part) >= _SCRUBBED_FROM}
    return sorted(every, key=len, reverse=True)


def _scrub(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, masked(secret))
        return value
    if isinstance(value, dict):
        return {_scrub(key, secrets): _scrub(held, secrets) for key, held in value.items()}
    return [_scrub(item, secrets) for item in value] if isinstance(value, list) else value

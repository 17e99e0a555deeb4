"""From a configuration to what the actors need: specifications, candidates and the routing table. Pure.

Deployments are named by `config.serving.placements`; each key is an account with limits and a health of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from ..actors.limits import LIMIT_MODELS, SHARE, LimitSpec
from ..actors.machines.breaker import BreakerSettings
from ..actors.policies import Candidate
from ..actors.routing import RoutingRule, RoutingTable, Selection
from ..actors.vault import DeploymentSpec, VendorSpec
from .config.modes import modes as configured_modes
from .config.options import merged
from .config.schema import Config, Limits, Model, Rule, TargetTable, Vendor
from .config.serving import keys, placements
from .config.units import TokenCount
from .dialects import BatchLimits, Target
from .passing.passage import ANY

__all__ = ["Planned", "batch_limits", "limit_model", "plan_deployments", "routing_table", "vendor_spec"]

_MODEL_OF_DIALECT: Final = {
    "anthropic": "anthropic",
    "azure": "azure",
    "azure-responses": "azure",
    "google": "gemini",
}
_MODEL_OF_DOMAIN: Final = {"openai.com": "openai", "groq.com": "groq"}
"""How those count whose interface others imitate."""
_IMITATED: Final = frozenset({"openai", "openai-responses"})


_WHOLE: Final = Model(name=ANY, operations=frozenset(), capabilities=frozenset())
"""What stands for the whole of a vendor's interface, for requests that are passed on to it."""

_SIMULATED: Final = {"embeddings": {"most_inputs": 2048, "base64": True, "tokens": True}}


class Planned(Struct, frozen=True, kw_only=True):
    """One deployment to be made: whose, of which model, billed to which key."""

    name: str
    vendor: Vendor
    model: Model
    account: str
    key: str | None

    @property
    def whole(self) -> bool:
        """Whether it stands for the whole of the vendor's interface: then it has no operation of its own."""
        return not self.model.operations

    def target(self) -> Target:
        """What its dialect is told."""
        return Target(
            vendor=self.vendor.name,
            base_url=self.vendor.base_url.rstrip("/") or "http://here.invalid/v1",
            model=self.model.id or self.model.name,
            key=self.key or None,
            headers=self.vendor.headers,
            options=merged(_usual_options(self.vendor), merged(self.vendor.options, self.model.options)),
            lenient=self.vendor.on_unsupported == "drop",
            operations=self.model.operations,
        )

    def candidate(self) -> Candidate:
        """How policies see it."""
        price = self.model.price
        return Candidate(
            deployment=self.name,
            vendor=self.vendor.name,
            model=self.model.name,
            context=self.model.window,
            capabilities=self.model.does,
            quality=self.model.quality,
            input_price=None if price is None else float(price.input),
            output_price=None if price is None else float(price.output),
            long_prices=()
            if price is None
            else tuple([(int(tier.above), float(tier.input), float(tier.output)) for tier in price.tiers]),
            weight=self.model.weight,
        )


def _usual_options(vendor: Vendor) -> Mapping[str, Any]:
    """What goes without saying of a vendor: a simulated one takes embeddings as OpenAI does."""
    return _SIMULATED if vendor.simulate is not None and vendor.dialect == "openai" else {}


def batch_limits(planned: Planned, most: BatchLimits | None) -> BatchLimits | None:
    """What one call for embeddings may hold where its dialect knows `most`: also no more tokens than half of what the limits
    of the account and of the model allow in a minute, since one of more than a minute's can never be sent, and the sizes
    are estimates."""
    if most is None:
        return None
    bounds = [] if most.tokens is None else [most.tokens]
    for limits in (planned.vendor.limits, planned.model.limits):
        share = SHARE if limits.shared else 1.0
        counts = (limits.tokens_per_minute, limits.input_tokens_per_minute)
        bounds += [max(1, int(share * count / 2)) for count in counts if count is not None]
    return BatchLimits(most.inputs, min(bounds, default=None))


def plan_deployments(vendors: Iterable[Vendor]) -> Iterator[Planned]:
    """Every deployment of the served vendors, in the configuration's order."""
    for vendor in vendors:
        accounts = {key: f"key-{number}" for number, key in enumerate(keys(vendor), 1)}
        for place in placements(vendor):
            yield Planned(
                name=place.name, vendor=vendor, model=place.model, account=accounts[place.key], key=place.key
            )
        if vendor.passed_below is not None:
            for number, (key, account) in enumerate(accounts.items(), 1):
                name = f"{vendor.name}/{ANY}" + (f"#{number}" if number > 1 else "")
                yield Planned(name=name, vendor=vendor, model=_WHOLE, account=account, key=key)


def limit_model(vendor: Vendor) -> str:
    """The row of `LIMIT_MODELS` by which `vendor` counts: as configured, else by the dialect, and by the address where many
    vendors speak the same one."""
    if vendor.limit_model is not None:
        return vendor.limit_model
    if vendor.simulate is not None:
        return "default"
    if vendor.dialect not in _IMITATED:
        return _MODEL_OF_DIALECT.get(vendor.dialect, "default")
    host = urlsplit(vendor.base_url).hostname or ""
    return next(
        (row for domain, row in _MODEL_OF_DOMAIN.items() if host == domain or host.endswith("." + domain)),
        "default",
    )


def _limits(limits: Limits, advised_floor: int | None = None, *, adaptive: bool = True) -> LimitSpec:
    """`adaptive`: False where the vendor's table says so, which then holds for its models too."""
    dollars = limits.dollars_per_hour
    return LimitSpec(
        requests_per_minute=limits.requests_per_minute,
        tokens_per_minute=limits.tokens_per_minute,
        input_tokens_per_minute=limits.input_tokens_per_minute,
        output_tokens_per_minute=limits.output_tokens_per_minute,
        requests_per_day=limits.requests_per_day,
        dollars_per_hour=None if dollars is None else float(dollars),
        concurrent=limits.concurrent,
        adaptive=limits.adaptive and adaptive,
        burst=limits.burst,
        shared=limits.shared,
        strict=limits.strict,
        ramp_floor=advised_floor if limits.ramp_floor is None else limits.ramp_floor,
        ramp_growth=limits.ramp_growth,
    )


def _within_program(vendor: Vendor) -> Limits:
    """Of a program there may run so many at once, whatever else is allowed."""
    limits, program = vendor.limits, vendor.program
    if program is None or (limits.concurrent is not None and limits.concurrent <= program.at_once):
        return limits
    return msgspec.structs.replace(limits, concurrent=TokenCount(program.at_once))


def _prices(model: Model) -> tuple[float, float]:
    """Dollars per token of input and of output; 0 where unknown."""
    price = model.price
    return (0.0, 0.0) if price is None else (float(price.input) / 1e6, float(price.output) / 1e6)


def vendor_spec(config: Config, vendor: Vendor, planned: Iterable[Planned]) -> VendorSpec:
    """What the vendor's actor needs to know."""
    breaker = config.breaker
    counting = limit_model(vendor)
    # Advice is given per model; a floor written for the account takes its place.
    advised = LIMIT_MODELS[counting].ramp_floor if vendor.limits.ramp_floor is None else None
    return VendorSpec(
        name=vendor.name,
        deployments=tuple(
            [
                DeploymentSpec(
                    name=each.name,
                    account=each.account,
                    model=each.model.name,
                    limits=_limits(each.model.limits, advised, adaptive=vendor.limits.adaptive),
                    prices=_prices(each.model),
                )
                for each in planned
            ]
        ),
        account_limits=_limits(_within_program(vendor)),
        limit_model=counting,
        breaker=BreakerSettings(
            consecutive=breaker.consecutive_failures,
            failure_share=breaker.failure_rate,
            window=float(breaker.window),
            samples=breaker.minimum_samples,
            open_base=float(breaker.open_time),
            open_cap=float(breaker.longest_open_time),
        ),
    )


def routing_table(config: Config, planned: Sequence[Planned]) -> RoutingTable:
    """Every name that a caller may use, and what it stands for."""
    by_target: dict[str, list[Candidate]] = {}
    for each in planned:
        if each.whole:
            # For what is passed on, and not to be had by a model's name.
            by_target.setdefault(f"{each.vendor.name}/{ANY}", []).append(each.candidate())
    planned = [each for each in planned if not each.whole]
    everything = [each.candidate() for each in planned]
    for each, candidate in zip(planned, everything, strict=True):
        by_target.setdefault(each.model.name, []).append(candidate)
        by_target.setdefault(f"{each.vendor.name}/{each.model.name}", []).append(candidate)
    for each, candidate in zip(planned, everything, strict=True):
        # The first key's deployment is called like all of them together, and stands for all.
        by_target.setdefault(each.name, [candidate])
    names = {name: Selection(tuple(found), config.policy) for name, found in by_target.items()}
    for route in config.routes:
        names[route.name] = Selection(_targets(route.targets, by_target), route.policy)
    # A mode stands for any model, and of embeddings no other than the one that was named will do.
    anything = tuple([each for each in everything if "texts" in each.capabilities])
    modes = {
        name: Selection(
            _targets(mode.targets, by_target) if mode.targets else anything,
            mode.policy,
            mode.minimum_quality,
        )
        for name, mode in configured_modes(config).items()
    }
    return RoutingTable(names, modes, tuple([_rule(each) for each in config.rules]))


def _targets(
    targets: Sequence[str | TargetTable], by_target: Mapping[str, list[Candidate]]
) -> tuple[Candidate, ...]:
    """The candidates of a route's targets; those of vendors that are not served are left out."""
    found: dict[str, Candidate] = {}
    for target in targets:
        name, weight = (target, None) if isinstance(target, str) else (target.to, target.weight)
        for candidate in by_target.get(name, ()):
            weighted = candidate if weight is None else _with_weight(candidate, weight)
            found.setdefault(candidate.deployment, weighted)
    return tuple(found.values())


def _with_weight(candidate: Candidate, weight: float) -> Candidate:
    return msgspec.structs.replace(candidate, weight=weight)


def _rule(rule: Rule) -> RoutingRule:
    return RoutingRule(
        users=frozenset(rule.users),
        models=tuple(rule.models),
        kinds=frozenset(rule.kinds),
        min_input_tokens=int(rule.min_input_tokens or 0),
        route=rule.route,
        policy=rule.policy,
    )

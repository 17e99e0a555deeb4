"""What no type can say: that names refer to something, mean one thing only, and that numbers make sense.

Every problem is reported, not just the first: a configuration is mended in one go.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from types import MappingProxyType
from typing import Final

from ...actors.policies import POLICIES
from .interpolation import Missing
from .modes import modes
from .problems import Problem, Step, nearest, spell
from .schema import Config, Mode, Route, Rule, TargetTable
from .vendor_checks import Finding, timeout_findings, vendor_findings

__all__ = ["check"]

_NONE_MISSING: Final[Missing] = MappingProxyType({})
_LONGEST_HOLD: Final = 0.5
_NAME: Final = re.compile(r"[^\s/#][^\s#]*")


def check(
    config: Config,
    *,
    file: str = "",
    policies: Collection[str] = tuple(POLICIES),
    missing: Missing = _NONE_MISSING,
) -> list[Problem]:
    """Everything that is wrong with `config` as a whole; empty if nothing is.

    `policies` are the names that a route, mode or rule may use; `missing` is `Loaded.missing`.
    """
    names = _Names(config, policies)
    findings = [
        *_numbers(config),
        *_ambiguities(config),
        *(
            finding
            for index in range(len(config.vendors))
            for finding in vendor_findings(config, index, missing)
        ),
        *names.policy(("policy",), config.policy),
    ]
    for index, route in enumerate(config.routes):
        findings += names.route(("routes", index), route)
    for name, mode in config.modes.items():
        findings += names.mode(("modes", name), mode)
    for index, rule in enumerate(config.rules):
        findings += names.rule(("rules", index), rule)
    return [
        Problem(file, spell(config, finding.steps), finding.message, finding.remedy) for finding in findings
    ]


def _numbers(config: Config) -> Iterator[Finding]:
    yield from timeout_findings(("timeouts",), config.timeouts)
    if config.server.max_body == 0:
        yield Finding(("server", "max_body"), "a limit of 0 refuses every request", "leave it out for 16MiB")
    backoff = config.retry.backoff
    if backoff.cap < backoff.base:
        yield Finding(("retry", "backoff", "cap"), "is less than `base`", "make it at least as long")
    if not math.isfinite(config.retry.floor):
        yield Finding(("retry", "floor"), "is not finite", "write a number such as 1.0")
    if config.server.overload.memory == 0:
        remedy = "leave it out for what the container or the machine has"
        yield Finding(("server", "overload", "memory"), "a limit of 0 refuses nearly every request", remedy)
    breaker = config.breaker
    if breaker.failure_rate == 0:
        remedy = "write a share above 0, such as 0.5; 1 trips only when everything fails"
        yield Finding(("breaker", "failure_rate"), "a rate of 0 trips without a failure", remedy)
    if breaker.longest_open_time < breaker.open_time:
        remedy = "make it at least as long"
        yield Finding(("breaker", "longest_open_time"), "is less than `open_time`", remedy)
    holds: list[tuple[tuple[Step, ...], float | None]] = [
        (("streams", "hold"), config.streams.hold),
        *((("routes", index, "hold"), route.hold) for index, route in enumerate(config.routes)),
        *((("modes", name, "hold"), mode.hold) for name, mode in config.modes.items()),
    ]
    for steps, hold in holds:
        if hold is not None and hold > _LONGEST_HOLD:
            message = f"{hold:g} s is longer than a caller should wait for what is there already"
            yield Finding(steps, message, "write at most '500ms'")
    positive: list[tuple[tuple[Step, ...], float]] = [
        (("breaker", "window"), breaker.window),
        (("breaker", "open_time"), breaker.open_time),
        (("supervision", "period"), config.supervision.period),
        (("server", "keep_alive"), config.server.keep_alive),
        (("server", "head_timeout"), config.server.head_timeout),
        (("server", "stall_timeout"), config.server.stall_timeout),
        (("server", "overload", "loop_lag"), config.server.overload.loop_lag),
    ]
    for steps, value in positive:
        if value == 0:
            yield Finding(steps, "a duration of 0 makes no sense here", "write one such as '30s'")


def _ambiguities(config: Config) -> Iterator[Finding]:
    """Names that callers may say and that would mean two things."""
    models = {model.name for vendor in config.vendors for model in vendor.models}
    deployments = {f"{vendor.name}/{model.name}" for vendor in config.vendors for model in vendor.models}
    routes = Counter(route.name for route in config.routes)
    taken = [(models, "a model"), (deployments, "a deployment")]
    for index, route in enumerate(config.routes):
        steps: tuple[Step, ...] = ("routes", index, "name")
        if routes[route.name] > 1:
            yield Finding(
                steps, f"{routes[route.name]} routes are called {route.name!r}", "rename all but one"
            )
        for names, what in (*taken, (modes(config).keys(), "a mode")):
            if route.name in names:
                yield Finding(steps, f"{route.name!r} is also {what}", "rename the route")
    for name in modes(config):
        for names, what in taken:
            if name in names:
                remedy = "rename the model, and keep what the vendor calls it in its `id`"
                yield Finding(("modes", name), f"the mode {name!r} is also {what}", remedy)
    for index, vendor in enumerate(config.vendors):
        for number, model in enumerate(vendor.models):
            if model.name in deployments:
                remedy = "rename the model, and keep what the vendor calls it in its `id`"
                message = f"{model.name!r} is also a deployment, of another vendor"
                yield Finding(("vendors", index, "models", number, "name"), message, remedy)


class _Names:
    """The names of a configuration, and whether what refers to them finds one."""

    def __init__(self, config: Config, policies: Collection[str]) -> None:
        self._policies = policies
        self._vendors = {vendor.name: {model.name for model in vendor.models} for vendor in config.vendors}
        self._models = {name for models in self._vendors.values() for name in models}
        self._callable = {*modes(config), *(route.name for route in config.routes), *self._models}
        self._deployments = {
            f"{vendor}/{model}" for vendor, models in self._vendors.items() for model in models
        }
        self._embedding = {
            (target, model.name)
            for vendor in config.vendors
            for model in vendor.models
            if "embeddings" in model.operations
            for target in (model.name, f"{vendor.name}/{model.name}")
        }
        self._keys = {vendor.name: max(1, len(vendor.api_keys)) for vendor in config.vendors}

    def policy(self, steps: tuple[Step, ...], name: str) -> Iterator[Finding]:
        if name not in self._policies:
            yield Finding(steps, f"no policy is called {name!r}", nearest(name, self._policies, "policies"))

    def route(self, steps: tuple[Step, ...], route: Route) -> Iterator[Finding]:
        yield from self.policy((*steps, "policy"), route.policy)
        if not route.targets:
            yield Finding((*steps, "targets"), "is empty", "list at least one `vendor/model` or model")
        yield from self._targets((*steps, "targets"), route.targets)
        yield from self._mixture(steps, route)

    def _mixture(self, steps: tuple[Step, ...], route: Route) -> Iterator[Finding]:
        """A route's embedding models are one, unless it says that any will do."""
        targets = [target if isinstance(target, str) else target.to for target in route.targets]
        named = {target.partition("#")[0] for target in targets}
        models = sorted({model for target, model in self._embedding if target in named})
        if len(models) > 1 and not route.mixed_embeddings:
            message = f"{', '.join(models)} are different embedding models, whose vectors do not fit together"
            remedy = (
                "if they are one, give it one `name` at every vendor, and the vendor's word as `id`; "
                "if any will do, say mixed_embeddings = true"
            )
            yield Finding((*steps, "targets"), message, remedy)

    def mode(self, steps: tuple[Step, ...], mode: Mode) -> Iterator[Finding]:
        if not _NAME.fullmatch(str(steps[-1])):
            remedy = "a name has no spaces and no `#`, and does not begin with `/`"
            yield Finding(steps, "not a name that a caller could say", remedy)
        yield from self.policy((*steps, "policy"), mode.policy)
        yield from self._targets((*steps, "targets"), mode.targets)

    def rule(self, steps: tuple[Step, ...], rule: Rule) -> Iterator[Finding]:
        if rule.route is None and rule.policy is None:
            yield Finding(steps, "the rule does nothing", "give it a `route` or a `policy`")
        if rule.policy is not None:
            yield from self.policy((*steps, "policy"), rule.policy)
        if rule.route is not None and rule.route not in self._callable:
            yield from self._target((*steps, "route"), rule.route, self._callable)

    def _targets(self, steps: tuple[Step, ...], targets: Sequence[str | TargetTable]) -> Iterator[Finding]:
        weights: list[float] = []
        for index, target in enumerate(targets):
            if isinstance(target, TargetTable):
                yield from self._target((*steps, index, "to"), target.to, self._models)
                weights.append(target.weight)
                if math.isinf(target.weight):
                    yield Finding((*steps, index, "weight"), "is not finite", "write a number such as 1.0")
            else:
                yield from self._target((*steps, index), target, self._models)
                weights.append(1.0)
        if weights and not any(weights):
            yield Finding(steps, "every weight is 0", "give at least one target a weight above 0")

    def _target(self, steps: tuple[Step, ...], target: str, names: Collection[str]) -> Iterator[Finding]:
        base, _, number = target.partition("#")
        if target in names or base in self._deployments:
            if number and not self._is_key(base, number):
                yield Finding(steps, f"{base} has no key {number!r}", f"write `{base}` for all of its keys")
            return
        vendor, slash, model = target.partition("/")
        if slash and vendor in self._vendors:
            known = self._vendors[vendor]
            message = f"the vendor {vendor!r} has no model {model!r}"
            yield Finding(steps, message, nearest(model, known, "its models"))
            return
        what = f"no vendor is called {vendor!r}" if slash else f"nothing is called {target!r}"
        known = {*self._deployments, *names} if slash else set(names)
        yield Finding(steps, what, nearest(target, known))

    def _is_key(self, base: str, number: str) -> bool:
        vendor = base.partition("/")[0]
        return number.isdecimal() and 2 <= int(number) <= self._keys[vendor]

"""The routing table: everything that a caller may name, and what it stands for. Plain data and one look-up."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import force_setattr

from .messages import Route
from .policies import Candidate

__all__ = ["RoutingRule", "RoutingTable", "Selection"]


class Selection(Struct, frozen=True):
    """What one name stands for: its candidates, in the configured order, and the policy that orders them.

    Candidates below `minimum_quality` come after all others.
    """

    candidates: tuple[Candidate, ...]
    policy: str
    minimum_quality: float = 0.0
    context: int = -1
    """The smallest context window of all."""
    capabilities: frozenset[str] = frozenset()
    """What every one of them can do. Both are found out where a selection is made."""

    def __post_init__(self) -> None:
        if self.context >= 0 or not self.candidates:
            return
        force_setattr(self, "context", min([each.context for each in self.candidates]))
        shared = frozenset.intersection(*[each.capabilities for each in self.candidates])
        force_setattr(self, "capabilities", shared)

    def ordered_by(self, policy: str, minimum_quality: float = 0.0) -> Selection:
        """The same candidates, by another policy."""
        return Selection(self.candidates, policy, minimum_quality, self.context, self.capabilities)


class RoutingRule(Struct, frozen=True, kw_only=True):
    """Sends the requests that match every condition given elsewhere; see `[[rules]]` in the configuration."""

    users: frozenset[str] = frozenset()
    models: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset()
    min_input_tokens: int = 0
    route: str | None = None
    policy: str | None = None

    def matches(self, route: Route) -> bool:
        """Whether every condition holds for `route`."""
        return (
            (not self.users or route.user in self.users)
            and (not self.models or any(fnmatch.fnmatchcase(route.model, glob) for glob in self.models))
            and (not self.kinds or bool(self.kinds & (route.kinds or {"chat"})))
            and route.input_tokens >= self.min_input_tokens
        )


class RoutingTable(Struct, frozen=True):
    """Everything that a caller may name, and what it stands for. Replaced whole, never changed."""

    names: Mapping[str, Selection]
    """Models, `vendor/model`s and routes."""
    modes: Mapping[str, Selection]
    rules: tuple[RoutingRule, ...] = ()

    def select(self, route: Route) -> Selection | None:
        """The candidates and the policy for `route`; None if it names something unknown."""
        policy = None
        model = route.model
        for rule in () if route.fixed else self.rules:
            if rule.matches(route):
                model, policy = rule.route or model, rule.policy
                break
        selection = self.names.get(model) or self.modes.get(model)
        if selection is None:
            return None
        if route.mode is not None:
            mode = self.modes.get(route.mode)
            if mode is None:
                return None
            selection = selection.ordered_by(mode.policy, mode.minimum_quality)
        return selection if policy is None else selection.ordered_by(policy)

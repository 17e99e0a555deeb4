"""How much of its traffic a deployment gets back after it was out: around every policy.

A circuit that has just closed, or half opened, takes a share of its usual traffic: its weight. The deployment keeps the
place that the policy gave it with that probability, and else comes after all that did; so a policy needs to know
nothing of circuits, and the share is right for each. What takes no traffic at all comes last.
"""

from __future__ import annotations

from .base import Candidate, View

__all__ = ["weighting"]


def weighting(ordered: list[Candidate], view: View) -> list[Candidate]:
    """`ordered` by a policy, with those put off whose circuit would not take this request."""
    known, reduced = view.loads, view.reduced
    if reduced is not None and (not reduced or reduced.isdisjoint([each.deployment for each in ordered])):
        return ordered
    weights = [known[each.deployment].weight if each.deployment in known else 1.0 for each in ordered]
    if not weights or min(weights) >= 1.0:
        return ordered
    kept: list[Candidate] = []
    later: list[Candidate] = []
    last: list[Candidate] = []
    for candidate, weight in zip(ordered, weights, strict=True):
        if weight >= 1.0 or view.rng.random() < weight:
            kept.append(candidate)
        elif weight > 0.0:
            later.append(candidate)
        else:
            last.append(candidate)
    return [*kept, *later, *last]

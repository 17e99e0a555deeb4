"""What an operator reads off the tables of `llm-dispatcher status`."""

from __future__ import annotations

from io import StringIO
from typing import Any

from llm_dispatcher.runtime.cli.status_view import status_view
from rich.console import Console

DEPLOYMENT = {
    "circuit": "open", "in_flight": 3, "closed_for": 75.0, "weight": 0.1, "closed_because": "quarantined",
    "last_transition": "closed -> open: consecutive",
}  # fmt: skip
ALIVE = {"state": "alive", "crashes": 0, "last_crash": None, "rests_for": 0.0}


def shown(**told: Any) -> str:
    written = StringIO()
    Console(width=160, file=written).print(status_view(told))
    return written.getvalue()


def test_a_deployment_that_is_closed_says_for_how_long_and_why() -> None:
    vendors = {"a": {"vendor": "a", "endpoint": "closed", "deployments": {"a/m[x]": DEPLOYMENT}}}
    text = shown(vendors=vendors, actors={"vendor a": ALIVE})
    line = next(line for line in text.splitlines() if "a/m[x]" in line)
    for word in ("open", "3", "10%", "for 1m15s: quarantined", "closed -> open: consecutive"):
        assert word in line


def test_a_closing_without_an_end_is_one_for_ever() -> None:
    deployment = {**DEPLOYMENT, "closed_for": None}
    vendors = {"a": {"vendor": "a", "endpoint": "closed", "deployments": {"a/m": deployment}}}
    assert "for ever: quarantined" in shown(vendors=vendors)


def test_a_vendor_whose_actor_is_set_aside_is_shown_with_its_crash() -> None:
    sick = {"state": "quarantined", "crashes": 6, "last_crash": "ValueError: no", "rests_for": 3700.0}
    text = shown(vendors={}, actors={"vendor a": sick, "router": ALIVE})
    line = next(line for line in text.splitlines() if "quarantined" in line)
    assert "for 1h01m: ValueError: no" in line
    assert "vendor a crashed 6 times, is quarantined; last: ValueError: no" in text


def test_who_waits_and_a_network_that_is_down_are_shown() -> None:
    line = {
        "waiting": 12,
        "bytes": 1,
        "cost": 34000.0,
        "tenants": 3,
        "oldest": 4.21,
        "served": 1,
        "refused": 0,
    }
    network = {"down": True, "down_for": 12.0, "retry_in": 0.5, "outages": 1}
    budgets = {"retries": 7.4, "retries_by_class": {"critical": 6.0}, "hedges": 1.0, "hedge_dollars": 0.25}
    text = shown(vendors={}, waiting={"a/m, b/m": line}, network=network, budgets=budgets)
    waiting = next(line for line in text.splitlines() if "a/m, b/m" in line)
    for word in ("12", "3", "4.2s", "34,000"):
        assert word in waiting
    assert "nobody" not in text
    assert "down, for 12.0s; the next try in 0.5s" in text
    assert "7 retries left (critical 6); 1 hedges" in text
    assert "$0.2500" in text


def test_a_daemon_that_tells_less_is_shown_all_the_same() -> None:
    assert "not told" in shown()

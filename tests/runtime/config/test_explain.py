"""What `check` shows: everything of use, and no secret."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.config import DEFAULT_FILE, Loaded, load, load_mapping, masked
from llm_dispatcher.runtime.config.explain import describe, explain
from llm_dispatcher.runtime.config.secrets import is_secret, without_userinfo
from rich.console import Console

KEYS = ["sk-first-0123456789-secret", "sk-second-0123456789-secret"]

EVERYTHING: dict[str, Any] = {
    "server": {"host": "::1", "port": 80},
    "vendors": [
        {
            "name": "[red]acme",
            "base_url": "https://acme.example/v1",
            "api_keys": KEYS,
            "proxy": f"http://user:{KEYS[0]}@proxy.example:3128",
            "headers": {"X-Api-Key": "header-secret-1", "cookie": "header-secret-2", "x-mine": KEYS[1]},
            "options": {"client_secret": "option-secret", "deep": [{"token": 5}, KEYS[0]], "plain": "shown"},
            "limits": {"requests_per_minute": 1500},
            "timeouts": {"connect": 1},
            "models": [{"name": "m", "id": "m-1", "price": {"input": "0.15", "output": 1}}],
        },
        {"name": "gone", "serve": "with_key", "base_url": "https://gone.example", "models": [{"name": "m"}]},
        {"name": "sim", "serve": "when_alone", "simulate": {"seed": 1}, "models": [{"name": "s"}]},
    ],
    "routes": [{"name": "r", "targets": [{"to": "m", "weight": 2}, "sim/s"], "policy": "weighted"}],
    "modes": {
        "fast": {"policy": "best", "targets": ["s"]},
        "mine": {"policy": "best", "minimum_quality": 0.4},
    },
    "rules": [{"models": ["gpt-*"], "min_input_tokens": 5000, "route": "r"}, {"policy": "fastest"}],
}


def loaded() -> Loaded:
    return Loaded(
        config=load_mapping(EVERYTHING), file=Path("c.toml"), missing={"gone": {"api_key": ("GONE",)}}
    )


def rendered(what: Loaded, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(explain(what))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_no_secret_is_shown_in_either_form() -> None:
    for shown in (json.dumps(describe(loaded()), ensure_ascii=False), rendered(loaded(), 1000)):
        assert "secret-" not in shown
        assert "-secret" not in shown
        assert "0123456789" not in shown
        assert "sk-…et" in shown
        assert "http://…@proxy.example:3128" in shown


def test_no_part_of_a_key_of_several_is_shown() -> None:
    key = "AKIDEXAMPLE:one-half-is-secret:and-so-is-the-other"
    models = [{"name": "m"}]
    headers = {"x-note": "one-half-is-secret", "x-other": "see and-so-is-the-other"}
    vendor = {
        "name": "v",
        "base_url": "https://v.example",
        "api_key": key,
        "models": models,
        "headers": headers,
    }
    told = json.dumps(
        describe(Loaded(config=load_mapping({"vendors": [vendor]}), file=Path("c.toml"), missing={}))
    )
    assert "one-half-is-secret" not in told
    assert "and-so-is-the-other" not in told


def test_the_plain_form_says_what_is_served_and_why_not_the_rest() -> None:
    told = describe(loaded())
    assert [(vendor["name"], vendor["served"], vendor["reason"]) for vendor in told["vendors"]] == [
        ("[red]acme", True, ""),
        ("gone", False, "no key; set GONE"),
        ("sim", False, "only served when no other vendor is; [red]acme is"),
    ]
    acme = told["vendors"][0]
    assert acme["limits"] == {
        "requests_per_minute": 1500,
        "adaptive": True,
        "burst": 0.1,
        "shared": False,
        "strict": False,
        "ramp_growth": 1.5,
    }
    assert acme["timeouts"] == {
        "connect": 1.0,
        "first_token": 60.0,
        "between_tokens": 30.0,
        "least_pace": 0.2,
        "total": 600.0,
    }
    assert acme["options"] == {"client_secret": "…", "deep": [{"token": "…"}, "sk-…et"], "plain": "shown"}
    assert told["vendors"][2]["address"] == "simulated"
    assert [each["name"] for each in told["deployments"]] == ["[red]acme/m", "[red]acme/m#2"]
    assert told["deployments"][0]["id"] == "m-1"
    assert told["deployments"][0]["price"] == {"input": 0.15, "output": 1.0, "tiers": []}
    assert told["deployments"][0]["capabilities"] == ["json", "tools", "vision"]
    assert told["server"]["address"] == "http://[::1]:80"
    assert told["routes"][0]["deployments"] == ["[red]acme/m", "[red]acme/m#2"]
    modes = {mode["name"]: mode for mode in told["modes"]}
    assert list(modes) == ["fast", "sophisticated", "cost_saving", "auto", "mine"]
    assert [name for name, mode in modes.items() if mode["built_in"]] == [
        "sophisticated",
        "cost_saving",
        "auto",
    ]
    assert modes["fast"]["deployments"] == []
    assert len(modes["mine"]["deployments"]) == 2


def test_the_built_in_modes_are_shown_with_their_policies(tmp_path: Path) -> None:
    told = describe(load(environ={}, directory=tmp_path))
    assert [(mode["name"], mode["policy"]) for mode in told["modes"]] == [
        ("fast", "fastest"),
        ("sophisticated", "best"),
        ("cost_saving", "cheapest"),
        ("auto", "balanced"),
    ]
    assert told["packaged"] is True


def test_the_tables_hold_names_addresses_limits_and_rules() -> None:
    shown = rendered(loaded())
    for word in (
        "Configuration: c.toml",
        "http://[::1]:80",
        "[red]acme/m#2",
        "1,500 requests/min",
        "no: no key; set GONE",
        "0.15 / 1",
        "m weighs 2",
        "best, quality from 0.4",
        "mode (built in)",
        "none that is served",
        "models gpt-*; from 5,000 input tokens on",
        "always",
    ):
        assert word in shown


def test_an_idle_house_says_that_it_can_answer_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text("{}")
    assert "No vendor is served" in rendered(load(path, environ={}, directory=tmp_path))
    assert "comes with the package" in rendered(load(environ={}, directory=tmp_path))
    assert DEFAULT_FILE.name in rendered(load(environ={}, directory=tmp_path), 500)


@given(st.text())
def test_a_mask_never_shows_more_than_five_characters(secret: str) -> None:
    shown = masked(secret)
    assert shown == "…" if len(secret) < 16 else shown == f"{secret[:3]}…{secret[-2:]}"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("Authorization", True),
        ("x-api-key", True),
        ("api-key", True),
        ("Cookie", True),
        ("Proxy-Authorization", True),
        ("x-auth-token", True),
        ("x-team", False),
        ("user-agent", False),
    ],
)
def test_what_is_named_like_a_secret_is_one(name: str, secret: bool) -> None:
    assert is_secret(name) is secret


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://u:p@h:1", "http://…@h:1"),
        ("http://u:p@q@h", "http://…@h"),
        ("u:p@h", "…@h"),
        ("http://h:1/x", "http://h:1/x"),
    ],
)
def test_users_and_passwords_are_taken_out_of_addresses(url: str, shown: str) -> None:
    assert without_userinfo(url) == shown

"""Which vendors are served, why the others are not, and which deployments a name stands for."""

from __future__ import annotations

from typing import Any

import pytest
from llm_dispatcher.runtime.config import (
    Config,
    Model,
    Simulation,
    Vendor,
    deployments,
    keys,
    placements,
    resolve,
    serving,
)


def vendor(name: str, **settings: Any) -> Vendor:
    return Vendor(name=name, **{"base_url": "https://x.example", "models": [Model(name="m")], **settings})


def config(*vendors: Vendor) -> Config:
    return Config(vendors=list(vendors))


def test_always_with_a_key_and_never_mean_what_they_say() -> None:
    settled = serving(
        config(
            vendor("plain"),
            vendor("keyed", serve="with_key", api_key="sk"),
            vendor("keys", serve="with_key", api_keys=["", "sk"]),
            vendor("keyless", serve="with_key", api_key="", api_keys=[""]),
            vendor("off", serve="never", api_key="sk"),
        )
    )
    assert [each.name for each in settled.vendors] == ["plain", "keyed", "keys"]
    assert [str(each) for each in settled.skipped] == [
        "keyless: no key; set api_key",
        'off: switched off; set serve = "always" or "with_key" to use it',
    ]


def test_the_reason_names_the_variables_that_were_missing() -> None:
    vendors = [
        vendor("one", serve="with_key", api_key=""),
        vendor("either", serve="with_key", api_key=""),
        vendor("both", serve="with_key", api_key="", base_url=""),
        vendor("address", serve="with_key", api_key="sk", base_url=""),
    ]
    missing: dict[str, dict[str, tuple[str, ...]]] = {
        "one": {"api_key": ("K",)},
        "either": {"api_key": ("K", "L")},
        "both": {"api_key": ("K",), "base_url": ("U",)},
        "address": {"base_url": ("U",)},
    }
    assert [str(each) for each in serving(config(*vendors), missing).skipped] == [
        "one: no key; set K",
        "either: no key; set K or L",
        "both: no key and no address; set K and U",
        "address: no address; set U",
    ]


def test_the_lonely_are_served_only_while_they_are_alone() -> None:
    lonely = [vendor(name, serve="when_alone", simulate=Simulation()) for name in ("a", "b")]
    absent = vendor("absent", serve="with_key")
    alone = serving(config(*lonely, absent))
    assert [each.name for each in alone.vendors] == ["a", "b"]
    together = serving(config(*lonely, absent, vendor("x"), vendor("y")))
    assert [each.name for each in together.vendors] == ["x", "y"]
    assert str(together.skipped[0]) == "a: only served when no other vendor is; x and y are"


def test_each_key_makes_deployments_of_its_own() -> None:
    models = [Model(name="m"), Model(name="org/n")]
    many = vendor("v", models=models, api_keys=["k1", "", "k2", "k3"])
    assert keys(many) == ("k1", "k2", "k3")
    assert deployments(many) == [
        "v/m",
        "v/m#2",
        "v/m#3",
        "v/org/n",
        "v/org/n#2",
        "v/org/n#3",
    ]
    assert [each.key for each in placements(many)] == ["k1", "k2", "k3"] * 2
    assert deployments(vendor("keyless")) == ["keyless/m"]


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("v/m", ["v/m", "v/m#2"]),
        ("v/m#2", ["v/m#2"]),
        ("v/m#3", []),
        ("m", ["v/m", "v/m#2", "w/m"]),
        ("w/m", ["w/m"]),
        ("v", []),
        ("", []),
    ],
)
def test_a_target_stands_for_deployments(target: str, found: list[str]) -> None:
    assert resolve(target, [vendor("v", api_keys=["a", "b"]), vendor("w")]) == found


def test_no_representation_shows_a_key() -> None:
    secret = "sk-very-secret-indeed"
    held = vendor("v", api_key=secret, headers={"x": secret}, proxy=f"http://u:{secret}@p")
    shown = repr((held, config(held), placements(held), serving(config(held))))
    assert secret not in shown
    assert "v/m" in shown

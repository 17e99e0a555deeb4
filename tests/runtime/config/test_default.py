"""The annotated `dispatcher.toml`: complete, true to the schema, and of use to whoever has which keys."""

from __future__ import annotations

import re
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli
from llm_dispatcher.actors.policies import POLICIES
from llm_dispatcher.runtime.config import BUILT_IN_MODES, DEFAULT_FILE, Config, load, schema
from llm_dispatcher.runtime.config.catalogue import stocked
from llm_dispatcher.runtime.config.checks import check
from llm_dispatcher.runtime.config.interpolation import interpolate
from llm_dispatcher.runtime.config.shape import shape
from msgspec import inspect

ROOT = Path(__file__).parents[3]

KEYS = {
    "openai": {"OPENAI_API_KEY": "sk-1"},
    "anthropic": {"ANTHROPIC_API_KEY": "sk-ant-1"},
    "google": {"GEMINI_API_KEY": "AIza-1"},
    "azure": {"AZURE_OPENAI_API_KEY": "az-1", "AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com"},
}
SIMULATED = ["sim-thrift", "sim-swift", "sim-sage"]

_TABLES: list[Any] = [value for value in vars(schema).values() if isinstance(value, type)]
STRUCTS = [
    value for value in _TABLES if issubclass(value, msgspec.Struct) and value.__name__ in schema.__all__
]


def with_every_setting() -> str:
    """The default with every setting that is left out written in: `#key = value` becomes `key = value`."""
    return re.sub(r"^#(?=[\w\[])", "", DEFAULT_FILE.read_text("utf-8"), flags=re.MULTILINE)


def written_keys(kind: inspect.Type, values: Any) -> set[tuple[str, str]]:
    """Every (struct, key) that `values` hold, of the structs that `kind` is made of."""
    if isinstance(kind, inspect.UnionType):
        return set().union(*(written_keys(one, values) for one in kind.types))
    if isinstance(kind, inspect.StructType) and isinstance(values, dict):
        found = {(kind.cls.__name__, key) for key in values}
        inner = [
            written_keys(field.type, values[field.encode_name])
            for field in kind.fields
            if field.encode_name in values
        ]
        return found.union(*inner)
    if isinstance(kind, inspect.ListType) and isinstance(values, list):
        return set().union(*(written_keys(kind.item_type, item) for item in values))
    if isinstance(kind, inspect.DictType) and isinstance(values, dict):
        return set().union(*(written_keys(kind.value_type, item) for item in values.values()))
    return set()


def test_the_packaged_copy_is_the_same() -> None:
    assert DEFAULT_FILE.read_bytes() == (ROOT / "dispatcher.toml").read_bytes()


def test_every_key_of_the_schema_is_shown() -> None:
    shown = written_keys(inspect.type_info(Config), tomli.loads(with_every_setting()))
    wanted = {(kind.__name__, field.name) for kind in STRUCTS for field in msgspec.structs.fields(kind)}
    assert len(wanted) > 100
    assert wanted - shown == set()


def test_what_is_left_out_is_valid_when_it_is_written_in() -> None:
    environ = {name: value for keys in KEYS.values() for name, value in keys.items()}
    values, problems = stocked(tomli.loads(with_every_setting()), "")
    assert problems == []
    filled = interpolate(values, environ, "")
    assert filled.problems == ()
    assert check(shape(filled.values, ""), missing=filled.missing) == []


def test_the_values_shown_as_defaults_are_the_defaults() -> None:
    values = tomli.loads(with_every_setting())
    house = {
        key: value for key, value in values.items() if key not in ("vendors", "routes", "modes", "rules")
    }
    house["server"] = without(house["server"], "unix_socket", "tls")
    house["server"]["overload"] = without(house["server"]["overload"], "memory")
    assert shape(house, "") == Config()
    examples = {vendor["name"]: vendor for vendor in values["vendors"]}
    acme, simulated = examples["acme"], examples["sim-everything"]
    own_vendor = (
        "catalogue", "base_url", "api_key", "serve", "limits", "limit_model", "models", "headers", "proxy",
        "timeouts", "prices",
    )  # fmt: skip
    not_limits = ("burst", "adaptive", "shared", "strict", "ramp_growth")
    vendor = without(acme, *own_vendor)
    vendor["limits"] = {key: acme["limits"][key] for key in not_limits}
    vendor["models"] = [without(acme["models"][0], "id", "max_output", "context", "price", "limits")]
    vendor["simulate"] = without(simulated["simulate"], "seed", "faults")
    plain = {"name": "acme", "models": [{"name": "acme-large"}], "simulate": {}}
    assert shape({"vendors": [vendor]}, "") == shape({"vendors": [plain]}, "")
    assert shape({"timeouts": acme["timeouts"]}, "") == Config()


def without(table: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in keys}


def test_without_any_key_the_simulated_vendors_are_served(tmp_path: Path) -> None:
    loaded = load(environ={}, directory=tmp_path)
    assert [vendor.name for vendor in loaded.serving.vendors] == SIMULATED
    assert [str(skipped) for skipped in loaded.serving.skipped] == [
        "openai: no key; set OPENAI_API_KEY",
        "anthropic: no key; set ANTHROPIC_API_KEY",
        "google: no key; set GOOGLE_API_KEY or GEMINI_API_KEY",
        "azure: no key and no address; set AZURE_OPENAI_API_KEY and AZURE_OPENAI_ENDPOINT",
    ]


@pytest.mark.parametrize(
    "names", [names for size in (1, 2, 3, 4) for names in combinations(KEYS, size)], ids=" ".join
)
def test_whoever_has_a_key_is_served_and_nobody_else(tmp_path: Path, names: tuple[str, ...]) -> None:
    environ = {name: value for vendor in names for name, value in KEYS[vendor].items()}
    loaded = load(environ=environ, directory=tmp_path)
    assert [vendor.name for vendor in loaded.serving.vendors] == list(names)


def test_a_model_of_the_simulated_vendors_has_fallbacks(tmp_path: Path) -> None:
    vendors = load(environ={}, directory=tmp_path).serving.vendors
    assert all("sim-chat" in [model.name for model in vendor.models] for vendor in vendors)
    assert all(sum("chat" in model.operations for model in vendor.models) == 2 for vendor in vendors)


def test_azure_deployments_go_by_the_names_that_were_given_them(tmp_path: Path) -> None:
    environ = {**KEYS["azure"], "AZURE_OPENAI_DEPLOYMENT": "my-terra"}
    (azure,) = load(environ=environ, directory=tmp_path).serving.vendors
    assert [(model.name, model.id) for model in azure.models] == [("gpt-6.1-terra", "my-terra")]


def test_every_built_in_mode_uses_a_policy_that_exists() -> None:
    assert {mode.policy for mode in BUILT_IN_MODES.values()} <= POLICIES.keys()


def test_loading_the_default_is_fast(tmp_path: Path) -> None:
    load(environ={}, directory=tmp_path)
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        load(environ={}, directory=tmp_path)
        times.append(time.perf_counter() - begun)
    assert min(times) < 0.02

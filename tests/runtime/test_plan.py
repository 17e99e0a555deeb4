"""From a configuration to what the actors are told of limits."""

from __future__ import annotations

from typing import Any

import pytest
from llm_dispatcher.actors.limits import LIMIT_MODELS
from llm_dispatcher.actors.vault import VendorSpec
from llm_dispatcher.runtime.config import load_mapping
from llm_dispatcher.runtime.plan import limit_model, plan_deployments, vendor_spec


def spec_of(**vendor: Any) -> VendorSpec:
    table = {
        "name": "acme",
        "base_url": "https://acme.example/v1",
        "api_key": "sk-1",
        "models": [{"name": "m", "price": {"input": 1, "output": 2}}],
    }
    config = load_mapping({"vendors": [{**table, **vendor}]})
    (configured,) = config.vendors
    return vendor_spec(config, configured, list(plan_deployments([configured])))


@pytest.mark.parametrize(
    ("vendor", "row"),
    [
        ({"base_url": "https://api.openai.com/v1"}, "openai"),
        ({"base_url": "https://eu.api.openai.com/v1"}, "openai"),
        ({"base_url": "https://api.groq.com/openai/v1"}, "groq"),
        ({"base_url": "https://notopenai.com/v1"}, "default"),
        ({"base_url": "http://localhost:8000/v1"}, "default"),
        ({"dialect": "anthropic"}, "anthropic"),
        ({"dialect": "google"}, "gemini"),
        ({"dialect": "azure-responses"}, "azure"),
        ({"dialect": "openai-responses"}, "default"),
        ({"dialect": "openai-responses", "base_url": "https://api.openai.com/v1"}, "openai"),
        ({"base_url": "https://api.openai.com/v1", "limit_model": "default"}, "default"),
        ({"limit_model": "azure"}, "azure"),
        ({"simulate": {}}, "default"),
    ],
)
def test_how_a_vendor_counts_goes_by_its_dialect_and_address_unless_it_is_written(
    vendor: dict[str, Any], row: str
) -> None:
    assert spec_of(**vendor).limit_model == row


def test_every_row_that_may_be_written_exists() -> None:
    for row in LIMIT_MODELS:
        assert spec_of(limit_model=row).limit_model == row


def test_every_limit_arrives_at_the_account_or_the_deployment_that_it_was_written_for() -> None:
    limits = {
        "requests_per_minute": 100,
        "input_tokens_per_minute": "10k",
        "output_tokens_per_minute": "5k",
        "requests_per_day": 1000,
        "dollars_per_hour": 2.5,
        "concurrent": 7,
        "adaptive": False,
        "burst": 0.5,
        "shared": True,
        "strict": True,
        "ramp_floor": "1M",
        "ramp_growth": 2.0,
    }
    price = {"input": 1, "output": 2}
    spec = spec_of(
        limits=limits, models=[{"name": "m", "price": price, "limits": {"tokens_per_minute": "3k"}}]
    )
    account = spec.account_limits
    assert {name: getattr(account, name) for name in limits} == {
        **limits,
        "input_tokens_per_minute": 10_000,
        "output_tokens_per_minute": 5_000,
        "ramp_floor": 1_000_000,
    }
    assert account.tokens_per_minute is None
    own = spec.deployments[0].limits
    assert (own.tokens_per_minute, own.requests_per_minute, own.ramp_floor) == (3000, None, None)


def test_the_growth_that_a_vendor_advises_counts_for_each_model_unless_one_is_written() -> None:
    openai = {"base_url": "https://api.openai.com/v1"}
    assert spec_of(**openai).deployments[0].limits.ramp_floor == 1_000_000
    assert spec_of(**openai, limits={"ramp_floor": 5}).deployments[0].limits.ramp_floor is None
    own = [{"name": "m", "limits": {"ramp_floor": 7}}]
    assert spec_of(**openai, models=own).deployments[0].limits.ramp_floor == 7
    assert spec_of().deployments[0].limits.ramp_floor is None


def test_a_vendor_whose_calls_at_once_are_not_to_be_learned_is_believed_for_its_models_too() -> None:
    models = [
        {"name": "m"},
        {"name": "n", "limits": {"adaptive": True}},
        {"name": "o", "limits": {"adaptive": False}},
    ]
    learns = [each.limits.adaptive for each in spec_of(models=models).deployments]
    assert learns == [True, True, False]
    off = spec_of(models=models, limits={"adaptive": False})
    assert [each.limits.adaptive for each in off.deployments] == [False] * 3


def test_a_vendor_of_an_unknown_dialect_counts_the_ordinary_way() -> None:
    (vendor,) = load_mapping({"vendors": [{"name": "a", "simulate": {}, "models": [{"name": "m"}]}]}).vendors
    assert limit_model(vendor) == "default"


def test_the_prices_of_long_requests_reach_the_policies() -> None:
    price = {"input": 1, "output": 2, "tiers": [{"above": "200k", "input": 3, "output": 4}]}
    models = [{"name": "m", "price": price}]
    table = {"name": "acme", "base_url": "https://acme.example/v1", "api_key": "sk-1", "models": models}
    (vendor,) = load_mapping({"vendors": [table]}).vendors
    (planned,) = plan_deployments([vendor])
    assert planned.candidate().long_prices == ((200_000, 3.0, 4.0),)

"""The table of features: made by the dialects themselves, and true of what they write."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner
from llm_dispatcher.runtime.cli import main
from llm_dispatcher.runtime.config.catalogue import catalogue
from llm_dispatcher.runtime.dialects import DIALECTS, Dialect, Target, dialect_class
from llm_dispatcher.runtime.features import FEATURES, way_of

BY_NAME = {feature.name: feature for feature in FEATURES}


def dialect(name: str, model: str = "m", **options: Any) -> Dialect:
    options = {"api_version": "v1", **options} if name == "azure" else options
    return dialect_class(name)(
        Target(
            vendor="v",
            base_url="https://bedrock-runtime.us-east-1.amazonaws.com",
            model=model,
            key="k",
            options=options,
        )
    )


def table(*arguments: str) -> Any:
    result = CliRunner().invoke(main, ["features", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_has_an_answer_to_every_wish_and_can_be_talked_to(name: str) -> None:
    speaker = dialect(name)
    ways = {feature.name: way_of(speaker, feature) for feature in FEATURES}
    for feature in ("system prompt", "several turns", "temperature", "most output tokens"):
        assert ways[feature] == "native"
    # What a dialect claims to emulate are features, which it neither refuses nor forgets.
    assert speaker.emulates <= ways.keys()
    assert {ways[feature] for feature in speaker.emulates} <= {"emulated"}


@pytest.mark.parametrize(
    ("name", "feature", "way"),
    [
        ("openai", "sound", "native"),
        ("openai", "image in a result", "emulated"),
        ("openai", "PDF at a URL", "refused"),
        ("openai", "prompt cache marks", "dropped"),
        ("openai-responses", "web search (OpenAI)", "native"),
        ("openai-responses", "several answers", "refused"),
        ("anthropic", "own thoughts sent back", "native"),
        ("anthropic", "JSON", "emulated"),
        ("anthropic", "web search (OpenAI)", "refused"),
        ("anthropic", "service tier (OpenAI)", "dropped"),
        ("google", "web search (Google)", "native"),
        ("google", "web search (OpenAI)", "refused"),
        ("google", "logit bias", "refused"),
        ("cohere", "PDF", "refused"),
        ("cohere", "text document", "emulated"),
        ("bedrock", "prompt cache marks", "dropped"),
        ("ollama", "any tool", "refused"),
    ],
)
def test_what_is_known_of_the_vendors_is_found(name: str, feature: str, way: str) -> None:
    assert way_of(dialect(name), BY_NAME[feature]) == way


def test_options_and_models_make_a_difference() -> None:
    schema = BY_NAME["JSON schema"]
    assert way_of(dialect("openai", json_schema=False), schema) == "emulated"
    assert way_of(dialect("anthropic", "claude-3-7-sonnet-20250219"), schema) == "emulated"
    assert way_of(dialect("anthropic", "claude-opus-5"), schema) == "native"
    # A name for the vendor's books is left out where it would be refused; a wish is not.
    assert way_of(dialect("openai", refuses=["user", "seed"]), BY_NAME["end user"]) == "dropped"
    assert way_of(dialect("openai", refuses=["user", "seed"]), BY_NAME["seed"]) == "refused"


def test_the_command_shows_every_dialect_and_every_vendor_of_the_catalogue() -> None:
    assert {"openai", "openai-responses", "anthropic", "google", "cohere", "bedrock"} <= table()[
        "JSON"
    ].keys()
    assert set(table(*catalogue())["tools"]) == set(catalogue())
    shown = CliRunner().invoke(main, ["features", "groq"])
    assert shown.exit_code == 0
    assert "GROQ" in shown.output
    assert "left out" in shown.output


def test_an_unknown_vendor_is_answered_with_the_nearest() -> None:
    result = CliRunner().invoke(main, ["features", "grok"])
    assert result.exit_code == 2
    assert "groq" in result.output

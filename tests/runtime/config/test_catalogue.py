"""The catalogue: a vendor that is known by name needs nothing but its models, and what is written goes before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from llm_dispatcher.runtime.config import ConfigError, Loaded, Vendor, load, load_mapping
from llm_dispatcher.runtime.config.catalogue import catalogue
from llm_dispatcher.runtime.dialects import dialect_class
from llm_dispatcher.runtime.plan import limit_model, plan_deployments

from tests.conftest import listed
from tests.corpus import folder, needs_corpus
from tests.corpus.replay import FOLDERS

KEYS = {name: f"key-of-{name}" for entry in catalogue().values() for name in entry.keys}
ADDRESSES = {
    "AZURE_OPENAI_ENDPOINT": "https://a.openai.azure.com",
    "GOOGLE_CLOUD_PROJECT": "my-project",
    "AZURE_AI_ENDPOINT": "https://a.example.com",
}


def loaded(tmp_path: Path, text: str, **environ: str) -> Loaded:
    file = tmp_path / "dispatcher.toml"
    file.write_text(text, encoding="utf-8")
    return load(file, environ=environ, directory=tmp_path)


def only(tmp_path: Path, text: str, **environ: str) -> Vendor:
    (vendor,) = loaded(tmp_path, f"[[vendors]]\n{text}", **environ).config.vendors
    return vendor


MODEL = 'models = [{ name = "m" }]\n'


@pytest.mark.parametrize("name", catalogue())
def test_a_name_and_a_model_are_a_whole_vendor(name: str, tmp_path: Path) -> None:
    entry = catalogue()[name]
    vendor = only(tmp_path, f'name = "{name}"\n{MODEL}', **KEYS, **ADDRESSES)
    assert vendor.dialect == entry.dialect
    assert vendor.base_url.startswith(("https://", "http://127.0.0.1:"))
    assert vendor.api_key == f"key-of-{entry.keys[0]}"
    (planned,) = plan_deployments([vendor])
    assert dialect_class(vendor.dialect)(planned.target()).name == entry.dialect


@pytest.mark.parametrize("name", [name for name, entry in catalogue().items() if entry.models])
def test_a_name_alone_is_a_whole_vendor_whose_costs_are_known(name: str, tmp_path: Path) -> None:
    entry = catalogue()[name]
    vendor = only(tmp_path, f'name = "{name}"', **KEYS, **ADDRESSES)
    assert [model.name for model in vendor.models] == [model["name"] for model in entry.models]
    assert vendor.models[0].name == entry.model
    for planned in plan_deployments([vendor]):
        assert dialect_class(vendor.dialect)(planned.target()).name == entry.dialect
    pytest.importorskip("genai_prices")
    prices = listed()
    if (entry.prices or prices.whose(vendor.base_url)) is not None:
        assert [model.name for model in vendor.models if model.price is None] == []


def test_models_that_are_written_are_all_there_are(tmp_path: Path) -> None:
    assert [model.name for model in only(tmp_path, f'name = "groq"\n{MODEL}', **KEYS).models] == ["m"]


def test_a_server_of_ones_own_has_the_models_that_one_gave_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="models: is empty"):
        only(tmp_path, 'name = "vllm"')


@pytest.mark.parametrize("name", catalogue())
def test_without_its_key_a_vendor_says_which_variable_it_wants(name: str, tmp_path: Path) -> None:
    entry = catalogue()[name]
    text = f'[[vendors]]\nname = "{name}"\nserve = "with_key"\n{MODEL}'
    serving = loaded(tmp_path, text, **ADDRESSES).serving
    assert [skipped.vendor for skipped in serving.skipped] == [name]
    wanted = "api_key" if entry.optional else " or ".join(entry.keys)
    assert serving.skipped[0].reason == f"no key; set {wanted}"


@pytest.mark.parametrize("name", [name for name, entry in catalogue().items() if entry.optional])
def test_a_server_of_ones_own_is_served_without_a_key(name: str, tmp_path: Path) -> None:
    assert only(tmp_path, f'name = "{name}"\n{MODEL}').api_key == ""


def test_any_of_several_variables_gives_the_key(tmp_path: Path) -> None:
    text = f'name = "huggingface"\n{MODEL}'
    assert only(tmp_path, text, HUGGINGFACE_API_KEY="second").api_key == "second"
    assert only(tmp_path, text, HUGGINGFACE_API_KEY="second", HF_TOKEN="first").api_key == "first"


def test_a_second_account_names_its_row_and_keeps_its_own_name(tmp_path: Path) -> None:
    text = f'name = "work"\ncatalogue = "groq"\napi_key = "${{WORK}}"\n{MODEL}'
    vendor = only(tmp_path, text, WORK="mine", GROQ_API_KEY="not mine")
    assert (vendor.name, vendor.api_key) == ("work", "mine")
    assert vendor.base_url == catalogue()["groq"].base_url
    assert limit_model(vendor) == "groq"


def test_what_is_written_goes_before_the_catalogue_option_by_option(tmp_path: Path) -> None:
    text = (
        'name = "mistral"\ncatalogue = "mistral"\nbase_url = "https://eu.example/v1"\nlimit_model = "openai"\n'
        f"options = {{ stream_usage = true, top_k = true }}\n{MODEL}"
    )
    vendor = only(tmp_path, text, MISTRAL_API_KEY="k")
    assert vendor.base_url == "https://eu.example/v1"
    assert vendor.limit_model == "openai"
    assert vendor.options == {**catalogue()["mistral"].options, "stream_usage": True, "top_k": True}


def test_several_keys_take_the_place_of_the_one_in_the_environment(tmp_path: Path) -> None:
    vendor = only(tmp_path, f'name = "groq"\napi_keys = ["a", "b"]\n{MODEL}', GROQ_API_KEY="c")
    assert (vendor.api_key, vendor.api_keys) == (None, ["a", "b"])


@pytest.mark.parametrize("name", ["openai", "groq"])
def test_a_key_in_the_environment_is_not_sent_to_an_address_that_somebody_wrote(
    name: str, tmp_path: Path
) -> None:
    text = f'name = "{name}"\nbase_url = "http://127.0.0.1:1/v1"\n{MODEL}'
    vendor = only(tmp_path, text, OPENAI_API_KEY="secret", GROQ_API_KEY="secret")
    assert (vendor.api_key, vendor.options) == (None, {})


def test_a_simulated_vendor_may_be_called_like_a_real_one(tmp_path: Path) -> None:
    vendor = only(tmp_path, f'name = "groq"\nsimulate = {{}}\n{MODEL}')
    assert (vendor.base_url, vendor.api_key, vendor.options) == ("", None, {})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('catalogue = "grog"', "the catalogue has no vendor 'grog'\n    did you mean `groq`?"),
        (
            'catalogue = "groq"\ndialect = "anthropic"',
            "the catalogue's 'groq' speaks the dialect 'openai'\n    leave one of the two out",
        ),
    ],
)
def test_a_row_that_cannot_be_meant_is_a_problem_with_a_remedy(
    text: str, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        only(tmp_path, f'name = "a"\n{text}\n{MODEL}')
    assert str(caught.value).endswith(f"vendors[0] (a).catalogue: {problem}")


def test_programs_that_bring_their_own_configuration_bring_the_key_too() -> None:
    models = [{"name": "m"}]
    (vendor,) = load_mapping({"vendors": [{"name": "groq", "api_key": "k", "models": models}]}).vendors
    assert (vendor.base_url, vendor.api_key) == (catalogue()["groq"].base_url, "k")
    with pytest.raises(ConfigError, match="needs a key"):
        load_mapping({"vendors": [{"name": "groq", "models": models}]})
    with pytest.raises(ConfigError, match="base_url: is missing"):
        load_mapping({"vendors": [{"name": "azure", "api_key": "k", "models": models}]})


@pytest.mark.parametrize("vendors", [7, [7], [{"name": 7, "catalogue": 7}], [{"name": "groq", "options": 7}]])
def test_what_is_no_vendor_at_all_is_reported_as_before(vendors: Any) -> None:
    with pytest.raises(ConfigError):
        load_mapping({"vendors": vendors})


@needs_corpus
@pytest.mark.parametrize("name", [name for name, (_, oracle) in FOLDERS.items() if "chat" in oracle.__name__])
def test_no_row_leaves_out_what_its_vendor_was_seen_to_take(name: str) -> None:
    entry = catalogue()[FOLDERS[name][0]]
    options = entry.options
    taken = [
        each.request_body for each in folder(name) if not each.refused and isinstance(each.request_body, dict)
    ]
    fields = {field for body in taken for field in body}
    assert fields.isdisjoint(options.get("refuses", ()))
    formats = [body["response_format"].get("type") for body in taken if body.get("response_format")]
    assert options.get("json_schema", True) or "json_schema" not in formats
    assert options.get("choices", True) or all((body.get("n") or 1) == 1 for body in taken)
    turns = [message for body in taken for message in body.get("messages", ())]
    sent_back = {name for turn in turns for name in turn if name in ("reasoning_content", "reasoning")}
    assert options.get("thoughts") != "drop" or not sent_back
    roles = {message.get("role") for message in turns}
    assert options.get("developer_role", True) or "developer" not in roles
    if options.get("seed_field") == "random_seed":
        assert "random_seed" in fields
        assert "seed" not in fields

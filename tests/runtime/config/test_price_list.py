"""Published prices: the same as the package that keeps them reckons, found where they are meant, unknown where they are not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.runtime.canon import Usage
from llm_dispatcher.runtime.config import load_mapping, price_list, pricing
from llm_dispatcher.runtime.config.catalogue import catalogue
from llm_dispatcher.runtime.config.price_list import Known, PriceList, Unavailable, read_price_list
from llm_dispatcher.runtime.config.pricing import priced
from llm_dispatcher.runtime.prices import cost_of, most_cost_of

genai_prices = pytest.importorskip("genai_prices")

TODAY = date(2026, 11, 24)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MORE_IN_THE_NIGHT = "deepseek"


@cache
def listed() -> PriceList:
    return read_price_list()


@cache
def models() -> list[tuple[str, str]]:
    """Every model that is found under its own id, with a price."""
    return [(provider, model) for provider, model, known in every_entry() if known.price is not None]


def every_entry() -> Iterator[tuple[str, str, Known]]:
    for provider in listed().providers():
        for entry in listed()._providers[provider]["models"]:
            known = listed().find(provider, entry["id"], TODAY)
            if known is not None:
                yield provider, entry["id"], known


def usages() -> st.SearchStrategy[Usage]:
    few, many = st.integers(0, 2000), st.integers(0, 300_000)
    return st.builds(
        lambda plain, read, short, long, out, thought: Usage(
            input_tokens=plain + read + short + long,
            output_tokens=out + thought,
            cache_read_tokens=read,
            cache_write_tokens=short + long,
            cache_write_1h_tokens=long,
            reasoning_tokens=thought,
        ),
        many, few, few, few, few, few,
    )  # fmt: skip


def as_theirs(usage: Usage) -> Any:
    return genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_5m_tokens=usage.cache_write_tokens - usage.cache_write_1h_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
    )


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_request_costs_to_the_last_digit_what_the_package_reckons(data: st.DataObject) -> None:
    provider, model = data.draw(st.sampled_from([each for each in models() if each[0] != MORE_IN_THE_NIGHT]))
    usage = data.draw(usages())
    known = listed().find(provider, model, TODAY)
    assert known is not None
    theirs = genai_prices.calc_price(
        as_theirs(usage), model, provider_id=provider, genai_request_timestamp=NOON
    )
    assert (known.provider, known.model) in {
        (theirs.provider.id, theirs.model.id),
        (known.provider, theirs.model.id),
    }
    assert cost_of(usage, known.price) == theirs.total_price


@pytest.mark.slow
def test_nearly_every_model_with_a_price_for_tokens_has_one_here() -> None:
    found = {True: 0, False: 0}
    for _, _, known in every_entry():
        found[known.price is not None] += 1
    assert found[True] > 2000
    assert found[True] > 8 * found[False]


def test_where_the_time_of_day_counts_the_dearest_time_does() -> None:
    known = listed().find("deepseek", "deepseek-chat", TODAY)
    assert known is not None
    usage = Usage(input_tokens=1000, output_tokens=1000)
    theirs = [
        genai_prices.calc_price(
            as_theirs(usage),
            "deepseek-chat",
            provider_id="deepseek",
            genai_request_timestamp=NOON.replace(hour=hour),
        ).total_price
        for hour in range(24)
    ]
    assert len(set(theirs)) > 1
    assert cost_of(usage, known.price) == max(theirs)


def test_a_price_that_begins_on_a_day_counts_from_that_day_on() -> None:
    before = listed().find("google", "gemini-3.8-flash", date(2026, 12, 31))
    after = listed().find("google", "gemini-3.8-flash", date(2027, 1, 1))
    assert before is not None and before.price is not None and after is not None and after.price is not None  # noqa: PT018
    assert after.price.input == 2 * before.price.input


def test_a_long_request_is_dearer_as_a_whole() -> None:
    known = listed().find("openai", "gpt-6-luna", TODAY)
    assert known is not None
    at, above = (Usage(input_tokens=n, output_tokens=10) for n in (272_000, 272_001))
    assert cost_of(at, known.price) == Decimal("0.027205")
    assert cost_of(above, known.price) == (272_001 * Decimal("0.2") + 10 * Decimal("0.75")) / 1_000_000
    assert most_cost_of(above, known.price) >= (cost_of(above, known.price) or 0)


def test_what_pictures_cost_is_not_reckoned_as_if_they_were_words() -> None:
    known = listed().find("openai", "gpt-image-1", TODAY)
    assert known is not None
    assert known.price is None


def test_a_vendor_that_sells_others_models_has_their_prices() -> None:
    known = listed().find("azure", "gpt-6-luna", TODAY)
    assert known is not None
    assert known.provider == "openai"


def test_what_is_not_listed_is_not_found() -> None:
    assert listed().find("openai", "no-such-model", TODAY) is None
    assert listed().find("no-such-provider", "gpt-6-luna", TODAY) is None
    assert listed().whose("http://127.0.0.1:8000/v1") is None


# --- into the configuration ---------------------------------------------------------------------

KEYED = {"api_key": "k"}


def vendor(name: str, model: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "api_key": "k", "models": [model], **more}


def test_a_model_without_a_price_or_a_context_has_the_published_ones() -> None:
    config = load_mapping({"vendors": [vendor("openai", {"name": "mine", "id": "gpt-6-luna"})]})
    (model,) = config.vendors[0].models
    assert model.price is not None
    assert (str(model.price.input), model.window) == ("0.1", 1_050_000)


def test_what_is_written_counts_key_by_key() -> None:
    written = {"name": "gpt-6-luna", "price": {"input": 7, "output": 8}}
    (model,) = load_mapping({"vendors": [vendor("openai", written)]}).vendors[0].models
    assert model.price is not None
    assert str(model.price.input) == "7"
    assert (model.price.cache_read, model.price.tiers) == (None, [])
    assert model.window == 1_050_000
    (model,) = (
        load_mapping({"vendors": [vendor("openai", {"name": "gpt-6-luna", "context": 5000})]})
        .vendors[0]
        .models
    )
    assert model.window == 5000
    assert model.price is not None


def test_a_proxy_of_ones_own_has_the_prices_that_it_names_and_else_none() -> None:
    def price(**more: Any) -> Any:
        table = vendor("own", {"name": "gpt-6-luna"}, base_url="https://llm.example/v1", **more)
        return load_mapping({"vendors": [table]}).vendors[0].models[0].price

    assert price() is None
    assert price(prices="openai").output == Decimal("0.5")
    assert price(prices="no-such-list") is None
    table = vendor("openai", {"name": "gpt-6-luna"}, prices="none")
    assert load_mapping({"vendors": [table]}).vendors[0].models[0].price is None


def test_a_limit_in_dollars_may_count_by_a_published_price() -> None:
    table = vendor("openai", {"name": "gpt-6-luna"}, limits={"dollars_per_hour": 5})
    assert load_mapping({"vendors": [table]}).vendors[0].models[0].price is not None


def test_the_list_is_not_read_where_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pricing, "read_price_list", lambda: pytest.fail("read"))
    whole = {"name": "gpt-6-luna", "context": 5000, "price": {"input": 1, "output": 2}}
    load_mapping({"vendors": [vendor("openai", whole)]})
    load_mapping({"vendors": [vendor("sim", {"name": "m"}, simulate={})]})
    unserved = vendor("openai", {"name": "m"}, serve="never")
    load_mapping({"vendors": [unserved, vendor("sim", {"name": "m"}, simulate={})]})


def test_without_a_list_costs_are_unknown_and_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: str) -> None:
        return None

    monkeypatch.setattr(price_list, "find_spec", absent)
    monkeypatch.setattr(pricing, "read_price_list", read_price_list)
    with pytest.raises(Unavailable, match="pip install genai-prices"):
        read_price_list()
    config = load_mapping({"vendors": [vendor("openai", {"name": "gpt-6-luna"})]})
    assert config.vendors[0].models[0].price is None
    _, sources = priced(config, {"openai"})
    assert "not installed" in sources["openai/gpt-6-luna"]


@pytest.mark.parametrize("text", ["", "providers = 5", "providers = [Provider(", "import this_is_not_there"])
def test_data_of_another_form_are_reported_and_not_guessed_at(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data.py").write_text(text)

    class Found:
        submodule_search_locations = [str(tmp_path)]  # noqa: RUF012

    monkeypatch.setattr(price_list, "find_spec", lambda _: Found)
    with pytest.raises(Unavailable, match="cannot be read"):
        read_price_list()


def test_reading_the_list_imports_neither_the_package_nor_what_it_depends_on() -> None:
    program = (
        "import sys\nfrom llm_dispatcher.runtime.config.price_list import read_price_list\nread_price_list()\n"
        "print(*{'genai_prices', 'pydantic', 'httpx2'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


def test_whose_list_a_row_of_the_catalogue_names_is_one_that_there_is() -> None:
    for name in {entry.prices for entry in catalogue().values() if entry.prices is not None}:
        assert any(provider == name or provider.startswith(f"{name}_") for provider in listed().providers())


def test_at_hugging_face_the_prices_are_those_of_the_server_that_a_model_names() -> None:
    served = listed().find("huggingface", "openai/gpt-oss-120b:groq", TODAY)
    assert served is not None
    assert served.provider == "huggingface_groq"
    assert served.price is not None
    assert listed().find("huggingface", "openai/gpt-oss-120b", TODAY) is None
    assert listed().find("huggingface", "openai/gpt-oss-120b:fastest", TODAY) is None

"""What vendors publish: prices and context windows, from the data of genai-prices (kept by Pydantic).

Of that package only its file of data is read. Its own code would bring pydantic and a second HTTP client into this process,
five times the time that the data take, for an arithmetic that `runtime.prices` has. The file is Python that makes one value
of calls with keywords; here every such call makes a dict. A file that has another form is reported (`Unavailable`) and
never guessed at; a test compares what is made of it with what the package itself says.

What the lists say in more ways than `schema.Price` has words for:

- of prices that begin on a date, the one of today counts; a daemon that outlives it learns of the next when it restarts;
- of prices that depend on the time of day, the dearest counts: what is reckoned is never less than what is billed;
- a model with a price for a kind of token that no vendor's usage tells (images, video, citations) has no price here,
  since every sum would be wrong. Searches and other tools of the vendor's own come on top of the tokens and are left out;
- the reductions and surcharges of batches and service tiers are left out: prices are those of ordinary requests.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from msgspec import Struct

from .schema import Price, PriceTier
from .units import TokenCount, Usd

__all__ = ["PACKAGE", "Known", "PriceList", "Unavailable", "package_version", "read_price_list"]

PACKAGE: Final = "genai-prices"
_MODULE: Final = "genai_prices"

_KINDS: Final = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_5m_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output",
    "output_reasoning_mtok": "reasoning",
}
"""Their word for a kind of token -> ours; of two for one kind the later counts."""
_REQUESTS: Final = "requests_kcount"
_BESIDE: Final = frozenset({"web_searches_kcount", "storage_searches_kcount", "cache_audio_read_mtok"})
"""What does not keep the rest from being right: searches come on top, and cached audio is charged as audio."""

_COMPACT_DATE: Final = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


class Unavailable(Exception):
    """There is no price list: the package is not installed, or its data have a form that is not known here."""


class Known(Struct, frozen=True):
    """What the list says of one model. None: nothing, or nothing that can be said in our words."""

    provider: str
    model: str
    price: Price | None
    context: int | None


class PriceList:
    """The lists of all providers. It is large: read it, ask it, and let it go."""

    def __init__(self, providers: Sequence[Mapping[str, Any]], version: str) -> None:
        self.version = version
        self._providers = {str(each["id"]): each for each in providers}

    def providers(self) -> list[str]:
        """The names by which `find` knows whose list is meant."""
        return sorted(self._providers)

    def whose(self, address: str) -> str | None:
        """The provider at an address, None if nobody's pattern fits it."""
        return next(
            (name for name, each in self._providers.items() if re.match(each["api_pattern"], address)), None
        )

    def find(self, provider: str, model: str, today: date) -> Known | None:
        """What is known of `model` at `provider`; None for a model, or a provider, that is not listed."""
        # At Hugging Face a model may say who serves it: `org/model:groq`.
        bare, _, server = model.rpartition(":")
        if bare and f"{provider}_{server}" in self._providers:
            provider, model = f"{provider}_{server}", bare
        lists = self._lists(provider)
        text = model.lower()
        # Some write a version's date without hyphens, and the lists with them.
        for wanted in dict.fromkeys([text, _COMPACT_DATE.sub(r"-\1-\2-\3", text)]):
            for each in lists:
                for entry in each.get("models") or ():
                    if _fits(entry["match"], wanted):
                        return Known(
                            str(each["id"]),
                            str(entry["id"]),
                            _price(entry, today),
                            entry.get("context_window"),
                        )
        return None

    def _lists(self, provider: str) -> list[Mapping[str, Any]]:
        """A provider's own list, and those of whom it sells the models of."""
        own = self._providers.get(provider)
        if own is None:
            return []
        others = own.get("fallback_model_providers") or ()
        return [own, *(self._providers[name] for name in others if name in self._providers)]


def package_version() -> str | None:
    """The version of the price list that is installed, None if none is."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return None


def read_price_list() -> PriceList:
    """The list that is installed; about 35 ms of work. Raises `Unavailable`."""
    found = find_spec(_MODULE)
    if found is None or not found.submodule_search_locations:
        raise Unavailable(f"{PACKAGE} is not installed: pip install {PACKAGE}")
    path = Path(found.submodule_search_locations[0]) / "data.py"
    try:
        code = SourceFileLoader(f"{_MODULE}.data", str(path)).get_code(f"{_MODULE}.data")
        names = _Names(__name__=f"{_MODULE}.data")
        if code is not None:
            exec(code, {"__builtins__": {**vars(builtins), "__import__": _import}}, names)
        return PriceList(names["providers"], package_version() or "")
    except Exception as error:
        raise Unavailable(f"the data of {PACKAGE} {package_version()} cannot be read: {error!r}") from error


class _Names(dict[str, Any]):
    """The names that the data use: whatever is called without having been imported makes a dict."""

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name):
            raise KeyError(name)
        return dict


def _import(name: str, *rest: Any) -> Any:
    """As `import`, but what the data would import of their own package is empty."""
    if len(rest) == 4 and rest[3]:
        empty = ModuleType(name)
        vars(empty)["__all__"] = ()
        return empty
    return __import__(name, *rest)


# --- which model --------------------------------------------------------------------------------


def _fits(clause: Mapping[str, Any], text: str) -> bool:
    """Whether a lower-case name is meant by a clause. A kind of clause that is not known fits nothing."""
    ((kind, wanted),) = clause.items()
    if kind == "or_":
        return any(_fits(each, text) for each in wanted)
    if kind == "and_":
        return all(_fits(each, text) for each in wanted)
    if kind == "regex":
        return re.search(wanted, text) is not None
    wanted = str(wanted).lower()
    return {
        "equals": text == wanted,
        "starts_with": text.startswith(wanted),
        "ends_with": text.endswith(wanted),
        "contains": wanted in text,
    }.get(kind, False)


# --- which price --------------------------------------------------------------------------------


def _price(entry: Mapping[str, Any], today: date) -> Price | None:
    prices = _today(entry.get("prices") or (), today)
    dearest: Price | None = None
    for each in prices:
        price = _in_our_words(each)
        if price is None:
            return None
        if dearest is None or (price.output, price.input) > (dearest.output, dearest.input):
            dearest = price
    return dearest


def _today(listed: Any, today: date) -> Iterator[Mapping[str, Any]]:
    """The prices that count at some time of the day. Later ones in the list go before earlier ones."""
    if isinstance(listed, Mapping):
        yield listed
        return
    for each in reversed(listed):
        constraint = each.get("constraint")
        if constraint is None or ("start_date" in constraint and constraint["start_date"] <= today):
            yield each["prices"]
            return
        if "start_time" in constraint:
            yield each["prices"]
    if listed:
        yield listed[0]["prices"]


def _in_our_words(listed: Mapping[str, Any]) -> Price | None:
    kinds = {ours: listed[theirs] for theirs, ours in _KINDS.items() if listed.get(theirs) is not None}
    said = {name for name, value in listed.items() if value is not None}
    if "input" not in kinds or said - _KINDS.keys() - _BESIDE - {_REQUESTS}:
        return None
    # A model that gives no tokens out, such as one for embeddings, has no price for them.
    kinds.setdefault("output", Decimal(0))
    requests = listed.get(_REQUESTS)
    return Price(
        **{kind: _at(value, 0) for kind, value in kinds.items()},
        requests=None if requests is None else _usd(requests),
        tiers=[
            PriceTier(
                above=TokenCount(start), **{kind: _at(value, start + 1) for kind, value in kinds.items()}
            )
            for start in sorted(set(_starts(kinds.values())))
        ],
    )


def _starts(values: Iterable[Any]) -> Iterator[int]:
    for value in values:
        if isinstance(value, Mapping):
            yield from (int(tier["start"]) for tier in value["tiers"])


def _at(value: Any, tokens: int) -> Usd:
    """A price, plain or in tiers, for a request with so many tokens of input."""
    if not isinstance(value, Mapping):
        return _usd(value)
    reached = [tier for tier in value["tiers"] if tokens > tier["start"]]
    return _usd(max(reached, key=lambda tier: int(tier["start"]))["price"] if reached else value["base"])


def _usd(value: Any) -> Usd:
    if not isinstance(value, Decimal) or not value.is_finite() or value < 0:
        raise ValueError(f"{value!r} is no price")
    return Usd(value)

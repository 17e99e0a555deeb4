"""What can be wrong with one vendor: its address, key, headers, limits, prices and timeouts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final

from msgspec import Struct

from .addresses import is_nearby, parts_of
from .interpolation import Missing
from .problems import Step, nearest
from .schema import NO_OUTPUT_PRICE, Config, Limits, Model, Price, Rates, Simulation, Timeouts, Vendor
from .serving import keys

__all__ = ["RESERVED", "Finding", "timeout_findings", "vendor_findings"]

_PROGRAM: Final = "program"
_KEYED: Final = frozenset(
    {
        "anthropic", "azure", "azure-responses", "bedrock", "cohere", "google", "openai", "openai-responses", "vertex",
        "vertex-anthropic",
    }
)  # fmt: skip
"""Dialects whose vendors want a key. Who installs another dialect knows what it wants."""

_CREDENTIALS: Final = frozenset({"authorization", "api-key", "x-api-key", "x-goog-api-key"})
_FRAMING: Final = frozenset({"host", "content-length", "transfer-encoding", "connection"})
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token, RFC 9110 section 5.6.2."""
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
"""RFC 9110 section 5.5: neither line breaks nor other control characters."""
_PROXIES: Final = ("http", "https", "socks5", "socks5h")
_KEY: Final = re.compile(r"[\x21-\x7e]+")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]*")
_VERSION: Final = re.compile(r"v[0-9][a-z0-9]*")
RESERVED: Final = frozenset({"admin", "api", "health", "metrics", "openai", "ready"})
"""First segments of paths that are the dispatcher's own, or may once be, besides versions (`v1`)."""
_DEAREST: Final = 100_000
_CHEAPEST: Final = 0.0001
"""Outside of these bounds, dollars per million tokens are more likely dollars per thousand or per token."""
_MOST: Final = 10**12
_COUNTED: Final = (
    "requests_per_minute", "tokens_per_minute", "input_tokens_per_minute", "output_tokens_per_minute", "requests_per_day",
    "dollars_per_hour", "concurrent", "ramp_floor",
)  # fmt: skip
"""The keys of a table of limits that are limits themselves."""


class Finding(Struct, frozen=True):
    """A problem, and the steps to where it is."""

    steps: tuple[Step, ...]
    message: str
    remedy: str = ""


def vendor_findings(config: Config, index: int, missing: Missing) -> Iterator[Finding]:
    """What is wrong with the vendor at `index`."""
    vendor = config.vendors[index]
    steps: tuple[Step, ...] = ("vendors", index)
    if any(other.name == vendor.name for other in config.vendors[:index]):
        yield Finding((*steps, "name"), f"another vendor is called {vendor.name!r} too", "rename one of them")
    if "/" in vendor.name:
        remedy = "leave it out: deployments are called `vendor/model`"
        yield Finding((*steps, "name"), "a vendor's name has no `/`", remedy)
    yield from _dialect(steps, vendor)
    yield from _passthrough(steps, vendor, config.vendors[:index])
    yield from _address(steps, vendor, missing)
    yield from _keys(steps, vendor)
    yield from _headers(steps, vendor)
    yield from _limits((*steps, "limits"), vendor.limits)
    yield from _budget(steps, vendor)
    yield from _connections(steps, vendor)
    if vendor.proxy:
        yield from _proxy((*steps, "proxy"), vendor.proxy)
    if vendor.timeouts is not None:
        yield from timeout_findings((*steps, "timeouts"), vendor.timeouts)
    if vendor.simulate is not None:
        yield from _simulation((*steps, "simulate"), vendor.simulate)
    yield from _program(steps, vendor)
    if not vendor.models and vendor.serve != "never":
        yield Finding(
            (*steps, "models"), "is empty", 'add `[[vendors.models]]` with a `name`, or serve = "never"'
        )
    for number, model in enumerate(vendor.models):
        yield from _model((*steps, "models", number), model, vendor.models[:number])


def _dialect(steps: tuple[Step, ...], vendor: Vendor) -> Iterator[Finding]:
    from ..dialects import DIALECTS, dialect_names

    # Asking for those that are installed costs ten times as much as the whole rest of the checks.
    if vendor.dialect in DIALECTS or vendor.dialect in dialect_names():
        return
    remedy = nearest(vendor.dialect, dialect_names(), "dialects")
    yield Finding((*steps, "dialect"), f"no dialect is called {vendor.dialect!r}", remedy)


def _passthrough(steps: tuple[Step, ...], vendor: Vendor, before: list[Vendor]) -> Iterator[Finding]:
    segment, steps = vendor.passed_below, (*steps, "passthrough")
    if segment is None:
        return
    example = f'name another path, such as passthrough = "{vendor.name}-direct"'
    if not _SEGMENT.fullmatch(segment):
        yield Finding(steps, f"/{segment}/ is no path that every client can ask for", example)
    elif segment in RESERVED or _VERSION.fullmatch(segment):
        yield Finding(steps, f"/{segment}/ is a path of the dispatcher's own", example)
    elif any(other.passed_below == segment for other in before):
        yield Finding(steps, f"another vendor is passed on to below /{segment}/ too", example)


def _address(steps: tuple[Step, ...], vendor: Vendor, missing: Missing) -> Iterator[Finding]:
    steps = (*steps, "base_url")
    if not vendor.base_url:
        excused = vendor.serve == "never" or "base_url" in missing.get(vendor.name, {})
        if not vendor.is_here and not excused:
            yield Finding(steps, "is missing", 'write it like "https://api.example.com/v1"')
        return
    url = parts_of(vendor.base_url)
    if url is None or url.scheme not in ("http", "https") or not url.hostname:
        yield Finding(steps, "not an http or https address", 'write it like "https://api.example.com/v1"')
    elif url.username is not None or url.password is not None:
        yield Finding(steps, "holds a user or password", "use `api_key` or `headers`")
    elif url.query or url.fragment:
        yield Finding(steps, "holds a query or fragment", "end it with the path; see `options`")


def _keys(steps: tuple[Step, ...], vendor: Vendor) -> Iterator[Finding]:
    if vendor.api_key and any(vendor.api_keys):
        remedy = "put the one key among the others"
        yield Finding((*steps, "api_keys"), "is given as well as `api_key`", remedy)
    given = [
        (("api_key",), vendor.api_key or ""),
        *((("api_keys", n), k) for n, k in enumerate(vendor.api_keys)),
    ]
    seen: set[str] = set()
    for where, key in given:
        if not key:
            continue
        if not _KEY.fullmatch(key):
            message = "the key holds a space, a line break or a character that no key has"
            yield Finding((*steps, *where), message, "copy it again, without what stands around it")
        if key in seen:
            yield Finding((*steps, *where), "the same key is given twice", "leave it out")
        seen.add(key)
    if vendor.serve == "always" and keys(vendor) == (None,) and not _needs_no_key(vendor):
        remedy = 'set `api_key`, or serve = "with_key"; if the server wants none, write any word'
        yield Finding((*steps, "api_key"), f"the dialect {vendor.dialect!r} needs a key", remedy)


def _needs_no_key(vendor: Vendor) -> bool:
    if vendor.simulate is not None or vendor.dialect not in _KEYED:
        return True
    if any(name.lower() in _CREDENTIALS for name in vendor.headers):
        return True
    # Without an address there is nothing to need a key; that problem is reported by itself.
    return is_nearby(vendor.base_url)


def _headers(steps: tuple[Step, ...], vendor: Vendor) -> Iterator[Finding]:
    for name, value in vendor.headers.items():
        where = (*steps, "headers", name)
        if not _HEADER_NAME.fullmatch(name):
            yield Finding(where, "not the name of a header", "use letters, digits and hyphens")
        elif name.lower() in _FRAMING:
            yield Finding(where, "is set for each request", "leave it out")
        if not _HEADER_VALUE.fullmatch(value):
            message = "the value holds a line break or another character that a header cannot carry"
            yield Finding(where, message, "write it on one line, in Latin-1")


def _proxy(steps: tuple[Step, ...], proxy: str) -> Iterator[Finding]:
    if proxy == "none":
        return
    url = parts_of(proxy)
    if (
        url is None
        or url.scheme not in _PROXIES
        or not url.hostname
        or url.path not in ("", "/")
        or url.query
    ):
        remedy = (
            'write it like "http://user:password@proxy.example.com:3128", with the scheme http, https, socks5 or socks5h, '
            'or "none"'
        )
        yield Finding(steps, "not the address of a proxy", remedy)


def _connections(steps: tuple[Step, ...], vendor: Vendor) -> Iterator[Finding]:
    if vendor.warm > vendor.max_connections:
        message = f"{vendor.warm} connections are more than `max_connections`, {vendor.max_connections}"
        yield Finding((*steps, "warm"), message, "keep fewer warm, or allow more")
    if vendor.http2 and find_spec("h2") is None:
        yield Finding(
            (*steps, "http2"), "the package h2 is not installed", "pip install 'llm-dispatcher[http2]'"
        )


def timeout_findings(steps: tuple[Step, ...], timeouts: Timeouts) -> Iterator[Finding]:
    """What is wrong with a table of timeouts."""
    for name in ("connect", "first_token", "between_tokens", "total"):
        value = getattr(timeouts, name)
        if value == 0:
            yield Finding((*steps, name), "a timeout of 0 fails every request", "write one such as '30s'")
        elif value > timeouts.total > 0:
            message = f"{value:g} s is longer than `total`, {timeouts.total:g} s"
            yield Finding((*steps, name), message, "shorten it, or make `total` longer")


def _limits(steps: tuple[Step, ...], limits: Limits) -> Iterator[Finding]:
    for name in _COUNTED:
        value = getattr(limits, name)
        if value == 0:
            remedy = 'leave it out for no limit; to switch a vendor off, serve = "never"'
            yield Finding((*steps, name), "a limit of 0 lets nothing through", remedy)
        elif value is not None and value > _MOST:
            yield Finding((*steps, name), "no vendor allows that much", "leave it out for no limit")
    if limits.tokens_per_minute is not None:
        for name in ("input_tokens_per_minute", "output_tokens_per_minute"):
            if getattr(limits, name) is not None:
                remedy = "limit tokens either together, or input and output each"
                yield Finding((*steps, name), "is given as well as `tokens_per_minute`", remedy)


def _budget(steps: tuple[Step, ...], vendor: Vendor) -> Iterator[Finding]:
    """A limit in dollars counts nothing of a model whose price nobody knows."""
    for number, model in enumerate(vendor.models):
        if model.price is not None:
            continue
        if model.limits.dollars_per_hour is not None:
            where: tuple[Step, ...] = (*steps, "models", number, "limits", "dollars_per_hour")
        elif vendor.limits.dollars_per_hour is not None:
            where = (*steps, "limits", "dollars_per_hour")
        else:
            continue
        remedy = "give it `price = { input = ..., output = ... }`, in dollars per million tokens"
        yield Finding(where, f"the model {model.name!r} has no price to be counted by", remedy)


def _simulation(steps: tuple[Step, ...], simulate: Simulation) -> Iterator[Finding]:
    faults = simulate.faults
    total = math.fsum(getattr(faults, name) for name in faults.__struct_fields__)
    if total > 1 + 1e-9:
        yield Finding(
            (*steps, "faults"), f"the shares add up to {total:g}", "a request fails in one way: at most 1"
        )
    if math.isinf(simulate.tokens_per_second):
        yield Finding((*steps, "tokens_per_second"), "is not finite", "write a large number, such as 100000")
    if simulate.reply_tokens == 0:
        yield Finding((*steps, "reply_tokens"), "an answer has at least one token", "write a number above 0")


def _program(steps: tuple[Step, ...], vendor: Vendor) -> Iterator[Finding]:
    program = vendor.program
    if program is None:
        if vendor.dialect == _PROGRAM:
            remedy = 'write it like program = { command = ["./answer"] }'
            yield Finding((*steps, "program"), "is missing", remedy)
        return
    if vendor.dialect != _PROGRAM:
        yield Finding(
            (*steps, "dialect"),
            f"a program does not speak {vendor.dialect!r}",
            f'write dialect = "{_PROGRAM}"',
        )
    if vendor.base_url or vendor.simulate is not None:
        yield Finding((*steps, "program"), "is given as well as an address or a simulation", "leave one out")
    if not program.command[0]:
        yield Finding((*steps, "program", "command", 0), "is empty", "name the program")
    for number, argument in enumerate(program.command):
        if "\0" in argument:
            yield Finding((*steps, "program", "command", number), "holds a zero byte", "leave it out")
    for name, value in program.environment.items():
        if not name or "=" in name or "\0" in name + value:
            yield Finding((*steps, "program", "environment", name), "is no variable", 'write NAME = "value"')


def _model(steps: tuple[Step, ...], model: Model, before: list[Model]) -> Iterator[Finding]:
    if any(other.name == model.name for other in before):
        remedy = "leave one out; for several keys, use `api_keys`"
        yield Finding((*steps, "name"), f"the vendor has another model {model.name!r}", remedy)
    if model.id == "":
        yield Finding((*steps, "id"), "is empty", "leave it out if the vendor uses the same name")
    if model.context == 0:
        yield Finding(
            (*steps, "context"), "a context of 0 holds no request", "leave it out if you do not know it"
        )
    if model.max_output == 0:
        yield Finding(
            (*steps, "max_output"), "a limit of 0 leaves no room for an answer", "leave it out for none"
        )
    if math.isinf(model.weight):
        yield Finding((*steps, "weight"), "is not finite", "write a number such as 1.0")
    yield from _limits((*steps, "limits"), model.limits)
    if model.price is not None:
        if model.operations != {"embeddings"}:
            yield from _missing_output((*steps, "price"), model.price)
        yield from _price((*steps, "price"), model.price)


def _missing_output(steps: tuple[Step, ...], price: Price) -> Iterator[Finding]:
    places: list[tuple[tuple[Step, ...], Rates]] = [(steps, price)]
    places += [((*steps, "tiers", number), tier) for number, tier in enumerate(price.tiers)]
    for where, rates in places:
        if rates.output is NO_OUTPUT_PRICE:
            yield Finding((*where, "output"), "is missing", "add `output = ...`")


def _price(steps: tuple[Step, ...], price: Price) -> Iterator[Finding]:
    yield from _rates(steps, price)
    above = [tier.above for tier in price.tiers]
    if above != sorted(set(above)):
        remedy = "order them by `above`, the smallest first, each once"
        yield Finding((*steps, "tiers"), "are out of order", remedy)
    for number, tier in enumerate(price.tiers):
        yield from _rates((*steps, "tiers", number), tier)


def _rates(steps: tuple[Step, ...], rates: Rates) -> Iterator[Finding]:
    for name in Rates.__struct_fields__:
        value = getattr(rates, name)
        if value and not _CHEAPEST <= value <= _DEAREST:
            message = f"{value} dollars per million tokens cannot be meant"
            yield Finding((*steps, name), message, "write dollars per million tokens, such as 0.15")

"""From the command line's options to a plan, and to what it is run against."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from ...runtime import Dispatcher
from ...runtime.config import ConfigError
from ...runtime.config.units import Usd, decode
from ..vendor import load as load_script
from .house import DEFAULT_VENDORS, MODEL, simulated_house, simulated_vendor
from .jobs import Sizes
from .loop import Bounds
from .plan import Arriving, Load, Plan, Replayed, Users
from .run import Opened
from .setup import behind_dispatcher, by_url, dispatcher_alone
from .sizes import parse_distribution
from .targets import Address
from .traces import Trace
from .words import seconds_of

__all__ = [
    "Conflict", "Problem", "checked_script", "checked_trace", "checked_url", "checked_vendor", "chosen", "parse_header",
    "parse_price", "parse_rate", "parse_seconds",
]  # fmt: skip

Options = Mapping[str, Any]

_DURATION: Final = 10.0
_RATE: Final = 20.0
_BURST: Final = 20
_MOST_IN_FLIGHT: Final = 1000
_PROMPT: Final = "lognormal:300,0.6"
_OUTPUT: Final = "lognormal:60,0.5"

_EXCLUDES: Final = {
    "url": ("config", "simulate"),
    "simulate": ("config", "scripts"),
    "scripts": ("config",),
    "trace": ("rate", "users", "pattern", "burst", "prompt_tokens", "output_tokens"),
    "users": ("rate", "pattern", "burst", "max_in_flight"),
}
"""Options that make no sense together."""
_NEEDS: Final = {
    "url": "model",
    "think": "users",
    "speed": "trace",
    "key_env": "url",
    "headers": "url",
    "pid": "url",
    "vendor_port": "scripts",
}
"""Options that make no sense without another."""
_NAMES: Final = {"scripts": "--vendor-script", "headers": "--header"}
"""Options that are not called as their parameter."""


class Conflict(ValueError):
    """Options that do not go together."""


class Problem(ValueError):
    """What an option names cannot be used."""


def chosen(options: Options) -> tuple[Plan, Opened]:
    """The plan, and what it is run against. Raises `Conflict` and `Problem`."""
    _check(options)
    plan = Plan(
        load=_load(options),
        bounds=_bounds(options),
        model=options["model"] or ("auto" if options["config"] else MODEL),
        stream=options["stream"],
        seed=options["seed"],
        timeout=options["timeout"],
        drain=options["drain"],
        objectives=tuple(options["objectives"]),
        price=options["price"],
        pid=_pid(options["pid"]),
        vendors=_vendors(options),
    )
    return plan, _opened(options, plan)


# --- single options, as they are written --------------------------------------------------------


def parse_seconds(text: str) -> float:
    """A duration: `10`, `250ms`, `1m30s`; above 0. Raises `ValueError`."""
    seconds = seconds_of(text)
    if not seconds:
        raise ValueError("a duration is above 0")
    return seconds


def parse_rate(text: str) -> float:
    """A number above 0. Raises `ValueError`."""
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate <= 1e6:
        raise ValueError(f"{text!r} is no number above 0 and up to a million")
    return rate


def parse_price(text: str) -> tuple[Decimal, Decimal]:
    """`0.15,0.60`: dollars for a million input and output tokens. Raises `ValueError`."""
    prices = text.split(",")
    if len(prices) != 2:
        raise ValueError(f"{text!r}: give two prices, for input and output, like 0.15,0.60")
    return Decimal(decode(Usd, prices[0])), Decimal(decode(Usd, prices[1]))


def parse_header(text: str) -> tuple[str, str]:
    """`NAME:VALUE`. Raises `ValueError`."""
    name, colon, value = (part.strip() for part in text.partition(":"))
    if not colon or not name or not (text.isascii() and text.isprintable()):
        raise ValueError(f"{text!r} is not NAME:VALUE")
    return name.lower(), value


def checked_vendor(text: str) -> str:
    """A simulated vendor, if it can be read. Raises `ValueError`."""
    simulated_vendor(text)
    try:
        Dispatcher.open(simulated_house([text]))
    except ConfigError as error:
        problem = error.problems[0]
        raise ValueError(f"{problem.path.rpartition('.')[2]}: {problem.message}") from None
    return text


def checked_script(text: str) -> str:
    """A scripted vendor's script, if it can be read. Raises `ValueError`."""
    load_script(text)
    return text


def checked_trace(text: str) -> Trace:
    """A trace that has been read through. Raises `ValueError`."""
    return Trace.check(Path(text))


def checked_url(text: str) -> str:
    """An address. Raises `ValueError`."""
    address = Address(base=text, model="")
    address.endpoint  # noqa: B018 - it is made when it is asked for
    return text


# --- all of them together -----------------------------------------------------------------------


def _given(options: Options, name: str) -> bool:
    return options[name] is not None and options[name] != ()


def _name(option: str) -> str:
    return _NAMES.get(option, f"--{option.replace('_', '-')}")


def _check(options: Options) -> None:
    for one, others in _EXCLUDES.items():
        for other in others:
            if _given(options, one) and _given(options, other):
                raise Conflict(f"{_name(one)} and {_name(other)} exclude each other")
    for one, other in _NEEDS.items():
        if _given(options, one) and not _given(options, other):
            raise Conflict(f"{_name(one)} needs {_name(other)}")
    if _given(options, "burst") and options["pattern"] != "bursts":
        raise Conflict("--burst needs --pattern bursts")
    if _given(options, "url") and _given(options, "scripts") and not _given(options, "vendor_port"):
        raise Conflict(
            "--url with --vendor-script needs --vendor-port, which the gateway there is set up to use"
        )


def _load(options: Options) -> Load:
    most = options["max_in_flight"] or _MOST_IN_FLIGHT
    if options["trace"] is not None:
        return Replayed(options["trace"], options["speed"] or 1.0, most)
    prompts = options["prompt_tokens"] or parse_distribution(_PROMPT)
    sizes = Sizes(prompts, options["output_tokens"] or parse_distribution(_OUTPUT))
    if options["users"] is not None:
        return Users(options["users"], sizes, options["think"])
    burst = options["burst"] or _BURST
    return Arriving(options["pattern"] or "poisson", options["rate"] or _RATE, sizes, most, burst)


def _bounds(options: Options) -> Bounds:
    seconds, requests = options["duration"], options["requests"]
    if seconds is None:
        seconds = math.inf if requests is not None or options["trace"] is not None else _DURATION
    cost = options["max_cost"]
    return Bounds(
        seconds=seconds,
        requests=math.inf if requests is None else requests,
        cost=None if cost is None else Decimal(repr(cost)),
    )


def _pid(pid: int | None) -> int | None:
    if pid is not None and not Path(f"/proc/{pid}").is_dir():
        where = "" if Path("/proc/self").exists() else ", and only Linux tells what one uses"
        raise Problem(f"--pid: there is no process {pid}{where}")
    return pid


def _vendors(options: Options) -> str:
    if options["scripts"]:
        return ", ".join(f"scripted ({script})" for script in options["scripts"])
    if options["url"] is not None:
        return ""
    if options["config"] is not None:
        return f"those of {options['config']}"
    return "; ".join(f"simulated ({each})" for each in options["simulate"] or DEFAULT_VENDORS)


def _opened(options: Options, plan: Plan) -> Opened:
    scripts, port = options["scripts"], options["vendor_port"] or 0
    if options["url"] is not None:
        connections = plan.load.count if isinstance(plan.load, Users) else plan.load.most_in_flight
        return by_url(
            _address(options),
            scripts,
            port=port,
            stream=plan.stream,
            seed=plan.seed,
            timeout=plan.timeout,
            connections=connections,
        )
    if scripts:
        return behind_dispatcher(scripts, plan.model, port=port, stream=plan.stream, seed=plan.seed)
    config = options["config"] or simulated_house(options["simulate"] or DEFAULT_VENDORS)
    try:
        dispatcher = Dispatcher.open(config, rng=random.Random(plan.seed))
    except ConfigError as error:
        raise Problem(f"{'--config: ' if options['config'] else ''}{error}") from None
    return dispatcher_alone(dispatcher, "the dispatcher in this process", plan.model, stream=plan.stream)


def _address(options: Options) -> Address:
    key, name = None, options["key_env"]
    if name is not None:
        key = os.environ.get(name)
        if not key:
            raise Problem(f"--key-env: the environment has no {name}, or an empty one")
        if not (key.isascii() and key.isprintable()):
            raise Problem(f"--key-env: what {name} holds can be no key")
    return Address(base=options["url"], model=options["model"], key=key, headers=dict(options["headers"]))

"""The configuration: `dispatcher.toml` (or YAML, JSON, or a dict) as checked, frozen structs.

One file per step: `sources` reads, `catalogue` fills in what is known of a vendor, `dotenv` and `interpolation` the
environment, `shape` makes structs of it, `pricing` adds what vendors publish (`price_list`), `checks` finds what contradicts itself, `serving` decides which vendors are used, `explain`
shows the result to people. `schema` says what can be written; `default.toml` is the annotated example, and
what is used when there is no other.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from ...actors.policies import POLICIES
from .catalogue import stocked
from .checks import check
from .dotenv import parse_dotenv
from .interpolation import Missing, interpolate
from .modes import BUILT_IN_MODES, modes
from .pricing import priced
from .problems import ConfigError, Problem
from .schema import (
    Backoff,
    Breaker,
    Capability,
    Config,
    Faults,
    Kind,
    Limits,
    Logging,
    Mode,
    Model,
    Price,
    PriceTier,
    Retry,
    Route,
    Rule,
    Server,
    Simulation,
    Supervision,
    TargetTable,
    Timeouts,
    Vendor,
)
from .secrets import masked
from .serving import (
    NONE_MISSING,
    Placement,
    Serving,
    Skipped,
    deployments,
    keys,
    placements,
    resolve,
    serving,
)
from .shape import shape
from .sources import read, read_text

__all__ = [
    "BUILT_IN_MODES",
    "DEFAULT_FILE",
    "ENVIRONMENT_VARIABLE",
    "Backoff",
    "Breaker",
    "Capability",
    "Config",
    "ConfigError",
    "Faults",
    "Kind",
    "Limits",
    "Loaded",
    "Logging",
    "Mode",
    "Model",
    "Placement",
    "Price",
    "PriceTier",
    "Problem",
    "Retry",
    "Route",
    "Rule",
    "Server",
    "Serving",
    "Simulation",
    "Skipped",
    "Supervision",
    "TargetTable",
    "Timeouts",
    "Vendor",
    "deployments",
    "keys",
    "load",
    "load_mapping",
    "masked",
    "modes",
    "placements",
    "resolve",
    "serving",
]

ENVIRONMENT_VARIABLE: Final = "LLM_DISPATCHER_CONFIG"
"""Names the configuration to use when none is named otherwise."""

DEFAULT_FILE: Final = Path(__file__).with_name("default.toml")
"""Comes with the package; the same as the annotated `dispatcher.toml` of the sources."""


class Loaded(Struct, frozen=True, kw_only=True):
    """A configuration, and where it came from."""

    config: Config
    file: Path
    env_files: tuple[Path, ...] = ()
    """The `.env` files that were read."""
    missing: Missing
    """Vendor -> field -> the unset variables that would have given it a key or an address."""
    price_sources: Mapping[str, str] = {}
    """`vendor/model` -> where its price comes from, in words, or why it is not known."""

    @property
    def packaged(self) -> bool:
        """Whether this is the default that comes with the package."""
        return self.file == DEFAULT_FILE

    @property
    def serving(self) -> Serving:
        """Which vendors are served, and why the others are not."""
        return serving(self.config, self.missing)


def load(
    path: str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    directory: str | os.PathLike[str] | None = None,
    policies: Collection[str] = tuple(POLICIES),
) -> Loaded:
    """Read, fill in and check a configuration.

    Without `path` it is the file that `$LLM_DISPATCHER_CONFIG` names, else `dispatcher.toml` in
    `directory` (the working directory), else the packaged default. Variables come from `environ` (the
    process's own), then from `.env` beside the file, then from `.env` in `directory`; the first that has
    one counts. `policies` are the names of policies that may be used.

    Raises `ConfigError` with every problem that was found.
    """
    environ = os.environ if environ is None else environ
    here = Path.cwd() if directory is None else Path(directory)
    file = _choose(path, environ, here)
    values, problems = stocked(read(file), str(file))
    if problems:
        raise ConfigError(problems)
    env_files, variables = _environment(file, environ, here)
    filled = interpolate(values, variables, str(file))
    if filled.problems:
        raise ConfigError(filled.problems)
    config = shape(filled.values, str(file))
    config, sources = priced(config, _served(config, filled.missing))
    problems = check(config, file=str(file), policies=policies, missing=filled.missing)
    if problems:
        raise ConfigError(problems)
    return Loaded(
        config=config, file=file, env_files=env_files, missing=filled.missing, price_sources=sources
    )


def load_mapping(values: Mapping[str, Any], *, policies: Collection[str] = tuple(POLICIES)) -> Config:
    """A configuration from a dict, for programs that make their own.

    It is taken literally: no `${...}` is filled in, and so no key from the catalogue. Raises `ConfigError` with
    every problem that was found.
    """
    values, problems = stocked(values, "", literal=True)
    if problems:
        raise ConfigError(problems)
    config = shape(values, "")
    config, _ = priced(config, _served(config))
    problems = check(config, policies=policies)
    if problems:
        raise ConfigError(problems)
    return config


def _served(config: Config, missing: Missing = NONE_MISSING) -> frozenset[str]:
    return frozenset(vendor.name for vendor in serving(config, missing).vendors)


def _choose(path: str | os.PathLike[str] | None, environ: Mapping[str, str], here: Path) -> Path:
    if path is not None:
        return here / path
    if named := environ.get(ENVIRONMENT_VARIABLE):
        file = here / named
        if not file.is_file():
            remedy = f"correct or unset {ENVIRONMENT_VARIABLE}, which names it"
            raise ConfigError([Problem(str(file), "", "no such file", remedy)])
        return file
    local = here / "dispatcher.toml"
    return local if local.is_file() else DEFAULT_FILE


def _environment(
    file: Path, environ: Mapping[str, str], here: Path
) -> tuple[tuple[Path, ...], Mapping[str, str]]:
    """The `.env` files there are, and the variables of the environment completed by theirs."""
    places = [here] if file == DEFAULT_FILE else [file.parent, here]
    found = [place / ".env" for place in dict.fromkeys(place.resolve() for place in places)]
    env_files = tuple(env_file for env_file in found if env_file.is_file())
    variables: dict[str, str] = {}
    for env_file in reversed(env_files):
        variables |= parse_dotenv(read_text(env_file), str(env_file))
    return env_files, {**variables, **environ}

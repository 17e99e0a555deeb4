"""What is installed is complete: every package of the sources, typed, with the default configuration."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import tomli

ROOT = Path(__file__).parents[1]


def test_every_source_package_is_listed_in_pyproject() -> None:
    project = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(project["tool"]["setuptools"]["packages"])
    found = {
        "llm_dispatcher." + ".".join(path.parent.relative_to(ROOT).parts)
        for folder in ("actors", "runtime", "benchmarks")
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert listed == found


def test_the_installed_packages_are_typed() -> None:
    for package in ("actors", "runtime", "benchmarks"):
        assert (files(f"llm_dispatcher.{package}") / "py.typed").is_file()


def test_the_installed_default_configuration_is_the_annotated_one() -> None:
    installed = (files("llm_dispatcher.runtime.config") / "default.toml").read_bytes()
    assert installed == (ROOT / "dispatcher.toml").read_bytes()

"""Imports go one way, and the control plane stays free of I/O."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Each row: the files of a layer, or one of them, and the parts of the package that they must not import.
FORBIDDEN = {
    "actors/machines": ("runtime", "actors.mailbox", "actors.messages", "actors.supervisor", "actors.policies"),
    "actors": ("runtime", "benchmarks"),
    "runtime/dialects": (
        "runtime.attempt", "runtime.journey", "runtime.dispatch", "runtime.stream", "runtime.dispatcher", "runtime.gateway",
        "runtime.cli", "runtime.config",
        "runtime.wire.client", "runtime.wire.server",
    ),
    "runtime/wire": ("runtime.dispatch", "runtime.dispatcher", "runtime.gateway", "runtime.attempt", "runtime.config", "actors"),
    "runtime/attempt.py": ("runtime.journey", "runtime.race", "runtime.dispatch", "runtime.stream", "runtime.house"),
    "runtime/journey.py": ("runtime.race", "runtime.dispatch", "runtime.stream", "runtime.dispatcher"),
    "runtime/race.py": ("runtime.dispatch", "runtime.stream", "runtime.dispatcher"),
    "runtime/dispatch.py": ("runtime.stream", "runtime.dispatcher"),
    "runtime/batches.py": ("runtime.stream", "runtime.dispatcher", "runtime.gateway"),
    "runtime/operations": (
        "runtime.attempt", "runtime.journey", "runtime.dispatch", "runtime.batches", "runtime.stream", "runtime.dispatcher",
        "runtime.gateway", "runtime.wire", "runtime.dialects.formats",
    ),
    "runtime/vectors.py": ("runtime.dialects", "runtime.config", "runtime.operations", "runtime.attempt"),
    "runtime/orders.py": ("runtime.dispatcher", "runtime.gateway", "runtime.cli"),
    "runtime/chronicle.py": ("runtime.dispatcher", "runtime.gateway", "runtime.cli"),
    "runtime/standing.py": ("runtime.dispatcher", "runtime.gateway", "runtime.cli"),
    "runtime/money.py": ("runtime.attempt", "runtime.journey", "runtime.wire"),
    "runtime/pace.py": ("runtime.attempt", "runtime.journey", "runtime.wire"),
    "runtime/passing": ("runtime.dispatcher", "runtime.gateway", "runtime.cli", "runtime.config", "runtime.wire"),
    **{
        f"runtime/passing/{name}.py": ("runtime.attempt", "runtime.journey", "runtime.operations", "runtime.deployment")
        for name in ("headers", "own", "passage", "paths", "reading")
    },
    "runtime/config": ("runtime.attempt", "runtime.dispatch", "runtime.dispatcher", "runtime.gateway", "runtime.wire"),
    "runtime/gateway": ("runtime.cli", "runtime.daemon", "runtime.wire"),
}  # fmt: skip

NO_IO = {
    "socket",
    "ssl",
    "httpx",
    "httptools",
    "os",
    "pathlib",
    "time",
    "io",
    "subprocess",
    "threading",
    "asyncio",
}
ACTORS = {"router", "vendor", "stats"}


def modules(folder: str) -> Iterator[tuple[Path, str, set[str]]]:
    """Each file below `folder`, or that one file: its path, its dotted name, and what it imports within the package or from outside."""
    place = ROOT / folder
    for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
        dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        package = dotted.split(".") if path.name == "__init__.py" else dotted.split(".")[:-1]
        found: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module or "")
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1]
                target = ".".join([*base, *(node.module or "").split(".")]).rstrip(".")
                found |= {target} | {f"{target}.{alias.name}" for alias in node.names}
        yield path, dotted, found


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_imports_go_one_way(folder: str) -> None:
    wrong = [
        f"{dotted} imports {name}"
        for _, dotted, found in modules(folder)
        for name in found
        for forbidden in FORBIDDEN[folder]
        if name == forbidden or name.startswith(forbidden + ".")
    ]
    assert wrong == []


def test_actors_touch_no_socket_no_file_and_no_clock() -> None:
    wrong = [
        f"{dotted} imports {name}"
        for _, dotted, found in modules("actors")
        for name in found
        if name in NO_IO
    ]
    assert wrong == []


def test_actors_meet_in_messages_only() -> None:
    wrong = [
        f"{dotted} imports {name}"
        for path, dotted, found in modules("actors")
        if path.stem in ACTORS
        for name in found
        if name in {f"actors.{other}" for other in ACTORS - {path.stem}}
    ]
    assert wrong == []


def test_dialects_do_not_import_one_another() -> None:
    dialects = {"openai", "azure", "anthropic", "google", "cohere", "bedrock", "vertex", "ollama", "program"}
    wrong = [
        f"{dotted} imports {name}"
        for path, dotted, found in modules("runtime/dialects")
        if path.stem in dialects and path.parent.name == "dialects"
        for name in found
        if name in {f"runtime.dialects.{other}" for other in dialects - {path.stem}}
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", ["actors", "runtime", "benchmarks"])
def test_the_package_imports_itself_relatively(folder: str) -> None:
    wrong = [
        dotted for _, dotted, found in modules(folder) for name in found if name.startswith("llm_dispatcher")
    ]
    assert wrong == []

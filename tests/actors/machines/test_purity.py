"""The machines stay pure: what they may import is short enough to list."""

import ast
import sys
from pathlib import Path

import llm_dispatcher.actors.machines as machines
import pytest

SOURCES = sorted(Path(next(iter(machines.__path__))).glob("*.py"))
FORBIDDEN = {"asyncio", "datetime", "io", "os", "pathlib", "secrets", "socket", "threading", "time"}


def imported(source: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1, "a machine knows no one but other machines"
    return names


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_machine_imports_only_the_standard_library_and_msgspec(source: Path) -> None:
    names = imported(source)
    assert names <= (set(sys.stdlib_module_names) | {"msgspec"}) - FORBIDDEN
    assert ast.get_docstring(ast.parse(source.read_text()))


def test_there_are_machines_to_look_at() -> None:
    assert {"bucket", "breaker", "restarts"} <= {source.stem for source in SOURCES}

"""What the public interface imports: an application pays for it at every start, whether it ever asks a vendor or not."""

from __future__ import annotations

import subprocess
import sys

_PUBLIC = "from llm_dispatcher.runtime import Dispatcher, Message, Request"
_HEAVY = {
    "asyncio",
    "concurrent.futures",
    "csv",
    "genai_prices",
    "importlib.metadata",
    "importlib.resources",
    "prometheus_client",
    "rich",
    "structlog",
    "typer",
    "yaml",
    "zipfile",
}
"""Modules that cost more than they are worth before somebody uses what needs them."""
_LATER = {
    "llm_dispatcher.benchmarks",
    "llm_dispatcher.runtime.cli",
    "llm_dispatcher.runtime.daemon",
    "llm_dispatcher.runtime.gateway",
    "llm_dispatcher.runtime.simulated",
    "llm_dispatcher.runtime.wire.client",
    "llm_dispatcher.runtime.wire.server",
}
"""Parts of our own that not every application uses, or only once it is running."""


def imported_by(statement: str) -> set[str]:
    """The modules that `statement` adds in a fresh interpreter to those that its dependencies need themselves."""
    program = (
        "import sys, trio, httpx, msgspec\n"
        "before = set(sys.modules)\n"
        f"{statement}\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(found.stdout.split())


def test_the_public_interface_imports_nothing_heavy() -> None:
    imported = imported_by(_PUBLIC)
    assert "llm_dispatcher.runtime.dispatcher" in imported
    assert not imported & (_HEAVY | _LATER)


def test_the_public_interface_imports_no_dialect_before_a_vendor_speaks_it() -> None:
    imported = imported_by(_PUBLIC)
    formats = {name for name in imported if name.startswith("llm_dispatcher.runtime.dialects.formats.")}
    assert formats == set()


def test_one_name_of_the_public_interface_does_not_import_the_others() -> None:
    imported = imported_by("from llm_dispatcher.runtime import Message")
    assert "llm_dispatcher.runtime.canon" in imported
    assert "llm_dispatcher.runtime.dispatcher" not in imported


def test_the_service_starts_without_rich_and_can_import_it_afterwards() -> None:
    program = (
        "import sys\n"
        "from llm_dispatcher.runtime.cli.common import without\n"
        "with without('pygments', 'rich'):\n"
        "    import llm_dispatcher.runtime.daemon\n"
        "print(*sorted(sys.modules))\n"
        "import rich.console"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules = found.stdout.split()
    assert "llm_dispatcher.runtime.daemon" in modules
    assert not [name for name in modules if name.startswith(("rich", "pygments"))]

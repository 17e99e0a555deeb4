"""This dispatcher's daemon, as it comes, with two vendors and their prices."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ..load.run import version
from .peer import MODEL, RETRIES, Command, Peer

__all__ = ["Ours"]

_PROGRAM = "from llm_dispatcher.runtime.cli import main; main()"


class Ours(Peer):
    """See the module's text."""

    name = "llm-dispatcher"
    resilience = f"two vendors in order, {1 + RETRIES} attempts; all else by default"

    def install(self, folder: Path) -> str:
        """It is what runs this."""
        del folder
        return version()

    def command(self, folder: Path, work: Path, port: int, vendors: Sequence[str]) -> Command | None:
        """`llm-dispatcher serve`."""
        del folder
        model = {"name": MODEL, "price": {"input": "1", "output": "2"}}
        tables = [
            {"name": f"vendor-{n}", "base_url": url, "api_key": "k", "models": [model]}
            for n, url in enumerate(vendors, 1)
        ]
        file = work / "dispatcher.json"
        file.write_text(json.dumps({"vendors": tables, "retry": {"attempts": 1 + RETRIES}}))
        words = [sys.executable, "-c", _PROGRAM, "serve", "--config", str(file), "--port", str(port)]
        return Command([*words, "--log-level", "error"])

    def health(self) -> str:
        """See `Peer`."""
        return "/v1/models"

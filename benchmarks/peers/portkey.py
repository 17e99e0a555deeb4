"""Portkey's open gateway, from npm. Its clients say with each request which vendors it is to use, and how."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from ..load.targets import Address
from .peer import MODEL, RETRIES, Command, Peer, Unavailable, have, install

__all__ = ["Portkey"]

_PACKAGES: Final = ("@portkey-ai/gateway", "@hono/node-server@1.12.2")
"""Its HTTP server is one that it works with: with the newer one that npm would choose (1.13 to 1.19), release 1.15.2
answers every stream of an OpenAI-like vendor with status 500."""


class Portkey(Peer):
    """See the module's text."""

    name = "portkey"
    resilience = f"fallback over {1 + RETRIES} targets: the first vendor, the second, the first again"

    def install(self, folder: Path) -> str:
        """With `npm install`."""
        have("node")
        package = folder / "node_modules" / "@portkey-ai" / "gateway"
        if not package.exists():
            have("npm")
            words = [
                "npm",
                "install",
                "--no-audit",
                "--no-fund",
                "--legacy-peer-deps",
                "--prefix",
                str(folder),
            ]
            install([*words, *_PACKAGES], folder)
        try:
            told: dict[str, Any] = json.loads((package / "package.json").read_text())
        except (OSError, ValueError) as error:
            raise Unavailable(str(error)) from None
        return str(told["version"])

    def command(self, folder: Path, work: Path, port: int, vendors: Sequence[str]) -> Command | None:
        """Without its console."""
        del work
        program = folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
        hosts = ",".join(urlsplit(vendor).hostname or "" for vendor in vendors)
        words = [have("node"), str(program), f"--port={port}", "--headless"]
        return Command(words, {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": f"localhost,{hosts}"})

    def address(self, port: int, vendors: Sequence[str]) -> Address:
        """With the vendors in a header."""
        turns = [vendors[n % len(vendors)] for n in range(1 + RETRIES)]
        targets = [{"provider": "openai", "api_key": "k", "custom_host": url} for url in turns]
        config = {"strategy": {"mode": "fallback"}, "targets": targets}
        headers = {"x-portkey-config": json.dumps(config)}
        return Address(base=f"http://127.0.0.1:{port}/v1", model=MODEL, headers=headers)

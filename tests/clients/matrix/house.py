"""The daemon that the matrix is played through: one process, with a vendor of each dialect behind it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.clients.conftest import Daemon
from tests.fakes.vendors import FACES, Vendors, answering_vendors

__all__ = ["House", "matrix_house"]

_DOORS: Mapping[str, tuple[str, str]] = {
    "openai": ("/v1", "gpt-4.1-mini"),
    "openai-responses": ("/v1", "gpt-5-mini"),
    "azure": ("", "gpt-4.1-mini"),
    "anthropic": ("/v1", "claude-sonnet-4-5"),
    "google": ("/v1beta", "gemini-3-flash"),
    "vertex": ("/v1/projects/p/locations/global", "gemini-3-flash"),
    "cohere": ("/v2", "command-a-vision-07-2025"),
    "bedrock": ("", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
    "ollama": ("", "qwen3-vl"),
}
"""Dialect -> the path below the vendor's address, and the vendor's name of the model."""

_SETTINGS: dict[str, Any] = {
    "server": {"port": 0, "workers": 1, "drain": "1s", "overload": {"loop_lag": "1h"}},
    "logging": {"format": "json", "level": "info"},
    "retry": {"attempts": 1},
}


class House(Struct):
    """`url` is the daemon's, without a path."""

    url: str
    vendors: Vendors


def _vendor(dialect: str, port: int, before: str) -> dict[str, Any]:
    path, model = _DOORS[dialect]
    return {
        "name": f"{before}{dialect}",
        "dialect": dialect,
        "base_url": f"http://127.0.0.1:{port}/{before}{dialect}{path}",
        "api_key": "ya29.theirs" if dialect == "vertex" else "sk-theirs",
        "models": [
            {
                "name": f"{before}{dialect}",
                "id": model,
                "capabilities": ["tools", "vision", "json", "reasoning"],
                "price": {"input": "1", "output": "2"},
            }
        ],
    }


@contextmanager
def matrix_house() -> Iterator[House]:
    """Runs as long as the context; every dialect is a model of its name."""
    with answering_vendors() as vendors, tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "dispatcher.json")
        tables = [_vendor(each, vendors.port, before) for each in FACES for before in ("", "limited-")]
        config.write_text(json.dumps({**_SETTINGS, "vendors": tables}), encoding="utf-8")
        daemon = Daemon(config)
        try:
            yield House(daemon.url.removesuffix("/v1"), vendors)
        finally:
            daemon.close()

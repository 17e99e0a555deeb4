"""LiteLLM's proxy, from PyPI into a virtual environment of its own. One worker, no database, no cache, its telemetry off."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ..load.targets import Address
from .peer import MODEL, RETRIES, Command, Peer, Unavailable, install

__all__ = ["LiteLLM"]

_ENVIRONMENT = {
    # Else it fetches its price table from the network when it starts.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOG": "ERROR",
    "LITELLM_TELEMETRY": "False",
}


class LiteLLM(Peer):
    """See the module's text."""

    name = "litellm"
    resilience = f"two deployments of one model, order 1 and 2, num_retries {RETRIES}"

    def __init__(self) -> None:
        self._key = f"sk-{secrets.token_urlsafe(32)}"

    def install(self, folder: Path) -> str:
        """With `venv` and `pip`."""
        if not (folder / "bin" / "litellm").exists():
            install([sys.executable, "-m", "venv", str(folder)], folder.parent)
            install([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "litellm[proxy]"], folder)
        program = "from importlib.metadata import version; print(version('litellm'))"
        told = subprocess.run(
            [folder / "bin" / "python", "-c", program],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if told.returncode:
            raise Unavailable("its environment is broken; remove the folder")
        return told.stdout.strip()

    def command(self, folder: Path, work: Path, port: int, vendors: Sequence[str]) -> Command | None:
        """As its documentation describes a proxy with retries over deployments of one model."""
        models = [
            {
                "model_name": MODEL,
                "litellm_params": {
                    "model": f"openai/{MODEL}",
                    "api_base": url,
                    "api_key": "k",
                    "order": order,
                },
            }
            for order, url in enumerate(vendors, 1)
        ]
        config = {
            "model_list": models,
            "litellm_settings": {"telemetry": False, "num_retries": RETRIES, "request_timeout": 60},
            # Without one it refuses to start.
            "general_settings": {"master_key": self._key},
            "router_settings": {"num_retries": RETRIES, "disable_cooldowns": True},
        }
        file = work / "litellm.yaml"
        # JSON is YAML.
        file.write_text(json.dumps(config))
        words = [
            str(folder / "bin" / "litellm"),
            "--config",
            str(file),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        return Command([*words, "--num_workers", "1"], _ENVIRONMENT)

    def address(self, port: int, vendors: Sequence[str]) -> Address:
        """With its own key."""
        del vendors
        return Address(base=f"http://127.0.0.1:{port}/v1", model=MODEL, key=self._key)

    def health(self) -> str:
        """See `Peer`."""
        return "/health/liveliness"

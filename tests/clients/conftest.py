"""The daemon as its users run it: a process of its own, on a free port, with simulated vendors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "from llm_dispatcher.runtime.cli import main; main()"]

CONFIG = """
[server]
port = 0
workers = 1
max_body = "64KiB"
drain = "5s"

# The machine that runs the tests may be busy; that is not what they test.
[server.overload]
loop_lag = "1h"

[logging]
format = "json"

[retry]
attempts = 2
backoff = { kind = "fixed", base = "10ms", jitter = "none" }

[[vendors]]
name = "sim"
simulate = { first_token = "5ms", tokens_per_second = 5000.0, reply_tokens = 20, seed = 1 }
models = [{ name = "talker", price = { input = "1", output = "2" } }]

[[vendors]]
name = "slow"
simulate = { first_token = "2s", spread = 0.0, tokens_per_second = 20.0, reply_tokens = 200, seed = 1 }
models = [{ name = "drawler" }]

[[vendors]]
name = "limited"
simulate = { faults = { rate_limited = 1.0 } }
models = [{ name = "refuser" }]

[[vendors]]
name = "sick"
simulate = { faults = { server_error = 1.0 } }
models = [{ name = "crasher" }, { name = "shared", quality = 0.9 }]

[[vendors]]
name = "cutter"
simulate = { first_token = "5ms", tokens_per_second = 5000.0, seed = 1, faults = { cut = 1.0 } }
models = [{ name = "cut" }]

[[vendors]]
name = "well"
simulate = { first_token = "5ms", tokens_per_second = 5000.0, seed = 1 }
models = [{ name = "shared" }]

[[vendors]]
name = "vectors"
simulate = { first_token = "5ms", seed = 1 }
options = { embeddings = { most_inputs = 3 } }
models = [{ name = "embedder", operations = ["embeddings"], price = { input = "1" } }]

[[vendors]]
name = "warehouse"
simulate = { first_token = "5ms", seed = 1 }
models = [{ name = "bulk", operations = ["embeddings"] }]

[[vendors]]
name = "base"
simulate = { first_token = "5ms", tokens_per_second = 5000.0, seed = 1 }
models = [{ name = "writer", operations = ["completions"] }]

[[vendors]]
name = "nowhere"
base_url = "http://127.0.0.1:9/v1"
api_key = "sk-test"
models = [{ name = "unreachable" }]
"""


class Daemon:
    """A running daemon."""

    def __init__(self, config: Path, *options: str, command: Sequence[str] = COMMAND) -> None:
        clean = {
            name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_ENDPOINT"))
        }
        self.process = subprocess.Popen(
            [*command, "serve", "--config", str(config), *options],
            stderr=subprocess.PIPE,
            text=True,
            env=clean,
            cwd=config.parent,
        )
        self.lines: list[dict[str, object]] = []
        self.url = ""
        stderr = self.process.stderr
        assert stderr is not None
        for line in stderr:
            self.lines.append(json.loads(line))
            if self.lines[-1]["event"] == "serving":
                self.url = str(self.lines[-1]["url"])
                return
        raise AssertionError(f"the daemon did not start: {self.lines}")

    def stop(self, signal: int, patience: float = 10.0) -> int:
        """Send `signal`, and return the exit code."""
        self.process.send_signal(signal)
        try:
            return self.process.wait(patience)
        finally:
            self.close()

    def close(self) -> None:
        """End it whatever happens."""
        self.process.kill()
        self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()


@pytest.fixture(scope="session")
def daemon() -> Iterator[Daemon]:
    """One daemon for all tests that only talk to it."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "dispatcher.toml")
        config.write_text(CONFIG, encoding="utf-8")
        running = Daemon(config)
        yield running
        running.close()


@pytest.fixture
def own_daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that the test may stop."""
    config = tmp_path / "dispatcher.toml"
    config.write_text(CONFIG, encoding="utf-8")
    running = Daemon(config)
    yield running
    running.close()

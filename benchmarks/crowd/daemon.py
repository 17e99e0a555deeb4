"""The daemon as users run it, in a process of its own, and what the operating system says of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

__all__ = ["Daemon", "running", "served"]

_SERVE = "from llm_dispatcher.runtime.cli import main; main()"


class Usage(Struct, frozen=True):
    """Of a process: resident bytes, and CPU seconds (user and system) since it began."""

    resident: int
    cpu: float


class Daemon(Struct, frozen=True):
    """A running daemon."""

    pid: int
    port: int

    def usage(self) -> Usage:
        """At this moment. Wants Linux's `/proc`."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1])
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return Usage(pages * os.sysconf("SC_PAGE_SIZE"), ticks / os.sysconf("SC_CLK_TCK"))


@contextmanager
def served(
    folder: Path, configuration: str, environment: Mapping[str, str] | None = None
) -> Iterator[Daemon]:
    """A daemon with `configuration`, whose port is to be 0; stopped at the end."""
    path = folder / "dispatcher.toml"
    path.write_text(configuration, encoding="utf-8")
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with running(
        # A single process: with several the one started here is a parent, which serves nothing.
        [sys.executable, "-c", _SERVE, "serve", "--config", str(path), "--workers", "1"],
        env={**clean, **(environment or {})},
        stderr=subprocess.PIPE,
    ) as process:
        yield Daemon(process.pid, _port(process))


def _port(process: subprocess.Popen[str]) -> int:
    """The port that the daemon's log names."""
    heard = []
    for line in process.stderr or ():
        heard.append(line)
        entry = json.loads(line) if line.startswith("{") else {}
        if entry.get("event") == "serving":
            return int(str(entry["url"]).rpartition(":")[2].partition("/")[0])
    raise RuntimeError(f"the daemon did not start: {''.join(heard)}")


@contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended at the end."""
    with subprocess.Popen(command, text=True, **options) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

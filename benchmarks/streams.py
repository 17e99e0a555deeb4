"""Very many streams at once through one daemon, at a chunk a second each: memory, CPU time, delays and errors.

Vendor, daemon and callers are processes of their own. Memory is the daemon's resident memory while all streams are open,
less that after a first hundred streams, for each stream. The delay of a chunk is that from the vendor's sending it to the caller's reading
it, so it holds both their own delays too; `/health` is asked 25 times a second over one connection, and shows how late the
daemon's event loop is. On a machine that has less than three cores to spare both say more about the machine.

Each stream needs two of the daemon's files: `ulimit -Hn` has to allow for that.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from ..runtime.process import raise_file_limit
from .crowd.callers import Findings
from .crowd.daemon import Daemon, Usage, running, served

__all__ = ["main"]

_FIRST: Final = 100
"""Streams before the measurement: what is made once is made then."""
_CONFIGURATION: Final = """
max_waiting = 1_000_000
[server]
port = 0
max_connections = {most}
drain = "1s"
[server.overload]
loop_lag = "1h"

[logging]
format = "json"
[timeouts]
total = "1h"
first_token = "5m"
connect = "30s"
[[vendors]]
name = "v"
base_url = "{scheme}://localhost:{port}/v1"
api_key = "k"
max_connections = {most}
http2 = false
models = [{{ name = "m", price = {{ input = 1, output = 2 }} }}]
"""


@contextmanager
def _certified(folder: Path, wanted: bool) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The vendor's arguments and the daemon's environment, with TLS between them or without."""
    if not wanted:
        yield [], {}
        return
    try:
        import trustme
    except ImportError:
        raise SystemExit("--tls wants the package trustme: pip install trustme") from None
    authority = trustme.CA()
    own, root = folder / "vendor.pem", folder / "root.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(own))
    authority.cert_pem.write_to_path(str(root))
    yield ["--certificate", str(own)], {"SSL_CERT_FILE": str(root)}


def _call(
    daemon: Daemon, streams: int, chunks: int, rate: float, seconds: float
) -> tuple[Findings, Usage, Usage]:
    """What the callers find; the daemon's usage when all had begun, and so many `seconds` later."""
    command = [sys.executable, "-m", "llm_dispatcher.benchmarks.crowd.callers", "--port", str(daemon.port)]
    command += [
        "--streams",
        str(streams),
        "--chunks",
        str(chunks),
        "--rate",
        str(rate),
        "--seconds",
        str(seconds),
    ]
    with running(command, stdout=subprocess.PIPE) as callers:
        lines, usages = iter(callers.stdout or ()), []
        for word in ("settled", "measured"):
            if next(lines, "").strip() != word:
                raise SystemExit("the callers ended before all streams had been open for a while")
            usages.append(daemon.usage())
        return msgspec.json.decode(next(lines), type=Findings), usages[0], usages[1]


def _report(streams: int, before: Usage, found: Findings, begun: Usage, ended: Usage, seconds: float) -> None:
    chunks = max(1, found.measured)
    errors = ", ".join(f"{count} {name}" for name, count in found.errors.items()) or "0 errors"
    mib = 2**20
    grown = ended.resident - before.resident
    print(f"streams     {found.whole} of {streams} whole, {found.most_open} open at once, {errors}")
    print(
        f"memory      {grown / streams / 1024:.1f} KiB a stream "
        f"({before.resident / mib:.0f} MiB before, {ended.resident / mib:.0f} MiB with all)"
    )
    print(
        f"CPU         {(ended.cpu - begun.cpu) / chunks * 1e6:.1f} µs a chunk, "
        f"{(ended.cpu - begun.cpu) / seconds:.2f} of a core, {found.measured / seconds:.0f} chunks a second"
    )
    print(
        f"chunks      {found.chunks}, late by {found.delay_p50:.1f} ms (median), {found.delay_p99:.1f} ms (p99)"
    )
    print(
        f"/health     {found.health_p50:.1f} ms (median), {found.health_p99:.1f} ms (p99), "
        f"{found.health_worst:.1f} ms (worst)"
    )


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=1000, help="streams open at once")
    parser.add_argument("--seconds", type=float, default=10, help="how long all of them are open")
    parser.add_argument("--rate", type=float, default=200, help="streams begun a second")
    parser.add_argument("--tls", action="store_true", help="TLS between daemon and vendor")
    chosen = parser.parse_args()
    raise_file_limit()
    ramp = chosen.streams / chosen.rate
    with (
        tempfile.TemporaryDirectory() as name,
        _certified(Path(name), chosen.tls) as (arguments, environment),
    ):
        vendor_command = [sys.executable, "-m", "llm_dispatcher.benchmarks.crowd.vendor", *arguments]
        with running(vendor_command, stdout=subprocess.PIPE) as vendor:
            port = int(vendor.stdout.readline()) if vendor.stdout else 0
            scheme = "https" if chosen.tls else "http"
            most = chosen.streams + 2 * _FIRST
            configuration = _CONFIGURATION.format(most=most, scheme=scheme, port=port)
            with served(Path(name), configuration, environment) as daemon:
                _call(daemon, min(_FIRST, chosen.streams), 2, chosen.rate, 0)
                before = daemon.usage()
                chunks = int(ramp + chosen.seconds) + 2
                found, begun, ended = _call(daemon, chosen.streams, chunks, chosen.rate, chosen.seconds)
    _report(chosen.streams, before, found, begun, ended, chosen.seconds)


if __name__ == "__main__":
    main()

"""`python -m llm_dispatcher.benchmarks.peers`: install what is missing, measure everybody, print the table."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

import msgspec
import trio

from ..load.scripted import VendorFailed, scripted_vendors
from .measure import Figures, Sitting, measure
from .peer import Unavailable
from .roster import PEERS
from .table import markdown

__all__ = ["main"]


class Seen(msgspec.Struct):
    """What there is to show so far."""

    figures: list[Figures] = []
    left_out: dict[str, str] = {}


async def _compare(names: list[str], cache: Path, sitting: Sitting, seen: Seen) -> None:
    async with scripted_vendors(["instant", "instant"]) as vendors:
        for name in names:
            peer = PEERS[name]()
            with tempfile.TemporaryDirectory(prefix=f"peers-{name}-") as work:
                try:
                    folder = cache / name
                    _say(f"{name}: installing into {folder}, unless it is there")
                    version = await trio.to_thread.run_sync(peer.install, folder)
                    _say(f"{name} {version}: measuring")
                    seen.figures.append(await measure(peer, version, folder, Path(work), vendors, sitting))
                except Unavailable as error:
                    _say(f"{name} is left out: {error}")
                    seen.left_out[name] = str(error)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m llm_dispatcher.benchmarks.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--cache", type=Path, required=True, metavar="DIR", help="where peers are installed, a folder each"
    )
    parser.add_argument("--only", metavar="A,B", default=",".join(PEERS), help=f"of {', '.join(PEERS)}")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round of measuring")
    parser.add_argument(
        "--fault-requests", type=int, default=200, help="requests with each of the scripts of faults"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    chosen = parser.parse_args()
    chosen.names = [name.strip() for name in chosen.only.split(",") if name.strip()]
    if unknown := [name for name in chosen.names if name not in PEERS]:
        parser.error(f"--only: there is no {unknown[0]!r}; there are {', '.join(PEERS)}")
    if not sys.platform.startswith("linux"):
        parser.error("the figures are read from /proc, so this needs Linux")
    return chosen


def main() -> None:
    """Run the comparison from the command line. After Ctrl-C the table is of those who had been measured."""
    chosen, seen, failure = _parsed(), Seen(), ""
    before = os.getloadavg()[0]
    sitting = Sitting(chosen.seconds, fault_requests=chosen.fault_requests)
    try:
        trio.run(_compare, chosen.names, chosen.cache.absolute(), sitting, seen)
    except* VendorFailed as group:
        failure = str(group.exceptions[0])
    except* KeyboardInterrupt:
        failure = "interrupted"
    print(markdown(seen.figures, seen.left_out))
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"\n{machine}; load average {before:.1f} before, {os.getloadavg()[0]:.1f} after")
    if chosen.json is not None:
        chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(seen), indent=1))
    sys.exit(failure or 0)


if __name__ == "__main__":
    main()

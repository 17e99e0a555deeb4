"""What a dispatcher costs a program that embeds it: memory and time of `Dispatcher.open`, beyond the imports.

Memory is what Python's allocator holds (`tracemalloc`) once the vendors are served, less what it held before. The first figure is
the first dispatcher's, with all that is imported only then and shared by all of them; the second that of a further one. The
configuration is read before, untraced: the price list that fills it in is one expression of ten thousand lines, in which
`tracemalloc` looks for the line of every allocation from the top.
"""

from __future__ import annotations

import argparse
import gc
import time
import tracemalloc
from typing import Any

import trio
import trio.lowlevel

from ..runtime import Dispatcher
from ..runtime.config import Config, load_mapping

__all__ = ["main"]


def _configuration(vendors: int, models: int) -> dict[str, Any]:
    dialects = ("openai", "anthropic", "google", "cohere")
    return {
        "vendors": [
            {
                "name": f"v{number}",
                "dialect": dialects[number % len(dialects)],
                "base_url": f"https://v{number}.example/v1",
                "api_key": "k",
                "limits": {"requests_per_minute": 1000, "tokens_per_minute": 1_000_000},
                "models": [
                    {"name": f"m{model}", "price": {"input": 1, "output": 2}} for model in range(models)
                ],
            }
            for number in range(vendors)
        ]
    }


async def _held(configuration: Config) -> float:
    """KiB held by a running dispatcher."""
    gc.collect()
    before = held = tracemalloc.get_traced_memory()[0]
    async with Dispatcher.open(configuration):
        await trio.lowlevel.checkpoint()
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    return (held - before) / 1024


async def _taken(configuration: dict[str, Any]) -> float:
    """Milliseconds of CPU until one runs, the configuration included."""
    begun = ended = time.process_time()
    async with Dispatcher.open(configuration):
        ended = time.process_time()
    return 1e3 * (ended - begun)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vendors", type=int, default=4)
    parser.add_argument("--models", type=int, default=4, help="of each vendor")
    chosen = parser.parse_args()
    written = _configuration(chosen.vendors, chosen.models)
    loaded = load_mapping(written)
    print(f"{chosen.vendors} vendors with {chosen.models} models each")
    tracemalloc.start()
    print(f"the first dispatcher, late imports included  {trio.run(_held, loaded):9.1f} KiB", flush=True)
    print(f"a further one                                {trio.run(_held, loaded):9.1f} KiB", flush=True)
    tracemalloc.stop()
    print(f"time to open one, configuration included     {trio.run(_taken, written):9.1f} ms CPU", flush=True)


if __name__ == "__main__":
    main()

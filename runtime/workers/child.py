"""What a worker process runs: `python -m llm_dispatcher.runtime.workers.child CHANNEL LISTENER...`, all of them descriptors that the
parent has handed down. Nobody but the parent starts it."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Serve until told to stop, or until the parent is gone."""
    from ..cli.common import fail_config, without

    with without("pygments", "rich"):
        from ..config import ConfigError
        from ..daemon import run_worker
    try:
        channel, *listeners = [int(each) for each in sys.argv[1:]]
    except ValueError:
        sys.exit("workers are started by `llm-dispatcher serve --workers N`")
    try:
        code = run_worker(channel, listeners)
    except ConfigError as error:
        fail_config(error)
    sys.exit(code)


if __name__ == "__main__":
    main()

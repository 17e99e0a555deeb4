"""What the operating system says of this process: its memory and its open files, and the limits of both.

Everything here is a few system calls and cheap enough for once a second. Where a system does not tell, the
answer is None, and whoever asked does without.
"""

from __future__ import annotations

import math
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["file_limit", "memory_limit", "open_files", "raise_file_limit", "resident_bytes", "usable_cores"]

_PROC: Final = sys.platform == "linux"
_MOST_FILES: Final = 1 << 20
"""A higher limit is of no use, and some systems refuse `unlimited` as the soft one."""
_NO_LIMIT: Final = 1 << 60
"""Control groups of the first version write a huge number where there is no limit."""


def resident_bytes() -> int | None:
    """The process's resident memory; None where only its peak is known (macOS, Windows)."""
    if not _PROC:
        return None
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return None


def memory_limit() -> int | None:
    """The memory this process may use: the least of its control groups' limits and the machine's memory."""
    found = []
    with suppress(OSError, ValueError, AttributeError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    if _PROC:
        with suppress(OSError):
            found += _group_limits(Path("/proc/self/cgroup").read_text("utf-8"), Path("/sys/fs/cgroup"))
    return min(found, default=None)


def usable_cores() -> int:
    """How many cores this process may use: by its affinity and its control groups' quotas, at least 1."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    if _PROC:
        with suppress(OSError):
            quotas = _group_quotas(Path("/proc/self/cgroup").read_text("utf-8"), Path("/sys/fs/cgroup"))
            cores = min([cores, *quotas])
    return max(1, math.floor(cores + 0.5))


def _group_quotas(listed: str, root: Path) -> list[float]:
    """The cores' worth of time that every control group above this process may use, where that is limited."""
    found = []
    for line in listed.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            base, names = root, ["cpu.max"]
        elif "cpu" in controllers.split(","):
            base, names = root / "cpu", ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        else:
            continue
        inner = base / path.lstrip("/")
        for folder in (inner, *inner.parents):
            with suppress(OSError, ValueError):
                told = " ".join([(folder / name).read_text("ascii").strip() for name in names]).split()
                quota, period = int(told[0]), int(told[1])
                if quota > 0 and period > 0:
                    found.append(quota / period)
            if folder == base:
                break
    return found


def _group_limits(listed: str, root: Path) -> list[int]:
    """The limits of every control group above this process; `listed` is what `/proc/self/cgroup` holds."""
    found = []
    for line in listed.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            base, name = root, "memory.max"
        elif "memory" in controllers.split(","):
            base, name = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        inner = base / path.lstrip("/")
        for folder in (inner, *inner.parents):
            with suppress(OSError, ValueError):
                limit = int((folder / name).read_text("ascii"))
                if limit < _NO_LIMIT:
                    found.append(limit)
            if folder == base:
                break
    return found


def open_files() -> int | None:
    """How many file descriptors are open."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            # Linux tells the number as the folder's size since 6.2; listing takes time with their number.
            if folder == "/proc/self/fd" and (counted := os.stat(folder).st_size):
                return counted
            return len(os.listdir(folder)) - 1
    return None


def file_limit() -> int | None:
    """How many file descriptors may be open; None if there is no such limit."""
    try:
        import resource
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def raise_file_limit() -> int | None:
    """Raise the soft limit of open files as far as the hard one allows; returns the limit that holds then."""
    try:
        import resource
    except ImportError:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return file_limit()

"""What a process and all its descendants have used, from /proc: Linux only."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

__all__ = ["Used", "tree", "used"]

_TICK: Final = 1 if sys.platform == "win32" else os.sysconf("SC_CLK_TCK")
_PAGE: Final = 1 if sys.platform == "win32" else os.sysconf("SC_PAGE_SIZE")
_PARENT, _USER, _SYSTEM, _CHILDREN_USER, _CHILDREN_SYSTEM, _RSS = 1, 11, 12, 13, 14, 21
"""Fields of /proc/PID/stat, counted from the state, which follows the name (proc_pid_stat(5))."""


class Used(Struct, frozen=True):
    """Of a tree of processes: CPU seconds since each began, and bytes of memory now.

    Pages that several of them share are counted for each.
    """

    cpu: float
    rss: int


def used(root: int) -> Used:
    """What the tree from `root` on has used. Descendants that have ended count if their parent has waited for them."""
    cpu = rss = 0
    for pid in tree(root):
        if (fields := _fields(pid)) is not None:
            ended = int(fields[_CHILDREN_USER]) + int(fields[_CHILDREN_SYSTEM])
            cpu += int(fields[_USER]) + int(fields[_SYSTEM]) + ended
            rss += int(fields[_RSS])
    return Used(cpu / _TICK, rss * _PAGE)


def tree(root: int) -> list[int]:
    """`root` and its descendants that live."""
    children: dict[int, list[int]] = {}
    for pid in _all():
        if (fields := _fields(pid)) is not None:
            children.setdefault(int(fields[_PARENT]), []).append(pid)
    found, open_ = [], [root]
    while open_:
        pid = open_.pop()
        found.append(pid)
        open_ += children.get(pid, [])
    return found


def _all() -> Iterator[int]:
    return (int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit())


def _fields(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in brackets and may hold anything, brackets too.
    return text.rpartition(")")[2].split()

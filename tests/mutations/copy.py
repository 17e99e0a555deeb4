"""A copy of the checkout in a temporary folder, in which one mutation at a time is applied.

The tests run in the copy too: their `llm_dispatcher` is a folder of links to the copied packages, put before everything
that is installed (it is a namespace package, so whose folder is found first is whose modules are used).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.corpus import ROOT as CORPUS

from .table import Mutation

__all__ = ["PACKAGES", "ROOT", "Copy", "OutOfStep", "copied", "mutate"]

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("actors", "runtime", "benchmarks")
_LEFT_OUT: Final = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info")


class OutOfStep(Exception):
    """A mutation's place is not in the sources as the table says: the row has to be rewritten."""


def mutate(source: str, mutation: Mutation) -> str:
    """The mutated text of a file. Raises `OutOfStep` unless `old` stands there exactly once, or if it changes nothing."""
    found = source.count(mutation.old)
    if found != 1:
        raise OutOfStep(
            f"{mutation.name}: its old text stands {found} times in {mutation.file}, and should once; "
            f"rewrite the row in tests/mutations/table.py to fit the code:\n{mutation.old}"
        )
    if mutation.new == mutation.old:
        raise OutOfStep(f"{mutation.name}: it changes nothing")
    return source.replace(mutation.old, mutation.new)


class Copy:
    """A copied checkout: `tree` is its root, `environment` what a process needs to use it."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        site = folder / "site"
        shutil.copytree(ROOT, self.tree, ignore=_LEFT_OUT)
        namespace = site / "llm_dispatcher"
        namespace.mkdir(parents=True)
        for package in PACKAGES:
            (namespace / package).symlink_to(self.tree / package, target_is_directory=True)
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
            "LLM_DISPATCHER_CORPUS": str(CORPUS.resolve()),
        }

    @contextmanager
    def mutated(self, mutation: Mutation) -> Iterator[None]:
        """Apply `mutation`; undone at the end."""
        path = self.tree / mutation.file
        original, stamp = path.read_bytes(), path.stat()
        changed = mutate(original.decode("utf-8"), mutation).encode("utf-8")
        try:
            path.write_bytes(changed)
            # Bytecode is taken for current by time and size, both of which may be the same by chance.
            os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 10_000_000_000))
            yield
        finally:
            path.write_bytes(original)
            os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


@contextmanager
def copied() -> Iterator[Copy]:
    """A fresh copy, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="llm-dispatcher-mutations-") as folder:
        yield Copy(Path(folder))

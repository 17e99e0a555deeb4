"""What a target is, and how one case of it is tried."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import pairwise
from random import Random
from typing import Final

from .guard import cpu_limit
from .mutate import cuts, generate

__all__ = ["Target", "pieces_of"]

_CPU_SECONDS: Final = 2.0
"""Far more than any case of 64 KiB may take; what takes more is a hang, or on the way to one."""


class Target:
    """Something that takes bytes from strangers.

    `check` tries one case and raises whatever breaks a promise. It depends on the case alone, so that the bytes are
    enough to repeat it. `kind` says which structure the mutations know (see `mutate`), `home` is the file in
    which a finding's regression test belongs.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        seeds: Callable[[], list[bytes]],
        check: Callable[[bytes], object],
        *,
        home: str,
        slow: bool = False,
        cpu_seconds: float = _CPU_SECONDS,
    ) -> None:
        self.name = name
        self.kind = kind
        self.home = home
        self.slow = slow
        self._cpu_seconds = cpu_seconds
        self._seeds = seeds
        self._check = check

    @cached_property
    def seeds(self) -> list[bytes]:
        """What the cases are made from."""
        return self._seeds()

    def case(self, number: int) -> bytes:
        """The case of that number."""
        return generate(Random(number), self.seeds, self.kind)

    def check(self, case: bytes) -> None:
        """Try one case. Raises what the target raised, an `AssertionError`, or `Hang`."""
        with cpu_limit(self._cpu_seconds):
            self._check(case)


def pieces_of(case: bytes) -> Iterator[list[bytes]]:
    """The case whole, in two random cuts of it, and byte by byte where it is short. The same for the same case."""
    rng = Random(zlib.crc32(case))
    yield [case] if case else []
    for most in (2, 30):
        yield [case[start:end] for start, end in pairwise(cuts(rng, len(case), most)) if start < end]
    if len(case) <= 2000:
        yield [case[at : at + 1] for at in range(len(case))]

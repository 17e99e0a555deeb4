"""What the operating system says about this process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from llm_dispatcher.runtime import process

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


@linux
def test_open_files_are_counted() -> None:
    before = process.open_files()
    assert before is not None
    pipes = [os.pipe() for _ in range(10)]
    during = process.open_files()
    for pair in pipes:
        for descriptor in pair:
            os.close(descriptor)
    assert during == before + 20
    assert process.open_files() == before


@linux
def test_memory_is_known_and_less_than_what_is_allowed() -> None:
    used, allowed = process.resident_bytes(), process.memory_limit()
    assert used is not None
    assert allowed is not None
    assert 2**20 < used < allowed


def test_the_limit_of_open_files_is_raised_as_far_as_it_goes() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = before[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[0], 256), hard))
        expected = 1 << 20 if hard == resource.RLIM_INFINITY else min(hard, 1 << 20)
        assert process.raise_file_limit() == expected
        assert process.file_limit() == expected
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("listed", "files", "expected"),
    [
        (
            "0::/a/b\n",
            {"a/b/memory.max": "max\n", "a/memory.max": "1000\n", "memory.max": "2000\n"},
            [1000, 2000],
        ),
        ("0::/\n", {"memory.max": "500\n"}, [500]),
        ("0::/a\n", {}, []),
        ("5:cpu:/x\n4:memory:/x\n", {"memory/x/memory.limit_in_bytes": "700\n"}, [700]),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, []),
    ],
)
def test_a_containers_limit_is_found(
    tmp_path: Path, listed: str, files: dict[str, str], expected: list[int]
) -> None:
    for name, content in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="ascii")
    assert process._group_limits(listed, tmp_path) == expected

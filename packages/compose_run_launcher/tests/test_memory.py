"""When workers that only wait give their memory back."""

from __future__ import annotations

from pathlib import Path

import pytest

from compose_run_launcher.standby import Memory, may_grow, must_shrink


def test_what_the_kernel_says(tmp_path: Path) -> None:
    source = tmp_path / "meminfo"
    source.write_text("MemTotal:  2000 kB\nMemFree:  100 kB\nMemAvailable:  500 kB\nHugePages: 0\n")
    assert Memory.now(source) == Memory(500 * 1024, 2000 * 1024)


@pytest.mark.parametrize(
    ("free", "shrink", "grow"),
    [(9, True, False), (10, False, False), (14, False, False), (15, False, True)],
)
def test_between_shrinking_and_growing_nothing_changes(free: int, shrink: bool, grow: bool) -> None:
    memory = Memory(free, 100)
    assert (must_shrink(memory, 10), may_grow(memory, 10)) == (shrink, grow)


def test_a_host_that_is_all_free() -> None:
    """However much is to be left free, a host that has it all has room."""
    assert may_grow(Memory(100, 100), 99)
    assert may_grow(Memory(100, 100), 100)


def test_a_share_that_no_host_has() -> None:
    assert must_shrink(Memory(98, 100), 99)
    assert not may_grow(Memory(98, 100), 99)

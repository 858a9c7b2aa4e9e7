"""How much memory the host has left, and what that means for workers that only wait."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# A pool that fills up at the very amount at which it shrinks would do both for ever.
_GROW_FACTOR = 1.5


@dataclass(frozen=True)
class Memory:
    """Bytes of the host's memory: what programs can still get, and all of it."""

    available: int
    total: int

    @classmethod
    def now(cls, source: Path = Path("/proc/meminfo")) -> Memory:
        """As the kernel says; a container sees its host's."""
        fields = dict(line.split(":", 1) for line in source.read_text().splitlines())
        return cls(_bytes(fields["MemAvailable"]), _bytes(fields["MemTotal"]))

    @property
    def free_percent(self) -> float:
        """The share that is available."""
        return 100 * self.available / self.total


def must_shrink(memory: Memory, min_free_percent: float) -> bool:
    """Whether workers that wait have to give their memory back."""
    return memory.free_percent < min_free_percent


def may_grow(memory: Memory, min_free_percent: float) -> bool:
    """Whether there is room for more of them."""
    return memory.free_percent >= min(100.0, _GROW_FACTOR * min_free_percent)


def _bytes(text: str) -> int:
    number, _, _unit = text.strip().partition(" ")
    return int(number) * 1024

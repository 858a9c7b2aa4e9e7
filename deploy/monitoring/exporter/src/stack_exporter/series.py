"""What one group of metrics says: families of samples, and a bound on how many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OTHER = "other"
"""The value of every label of the sample in which those beyond the bound are gathered."""

Row = Mapping[str, Any]
Samples = dict[tuple[str, ...], float]


@dataclass(frozen=True)
class Family:
    """One gauge: its labels and its value are columns of a row.

    ``fold`` makes one value of several: ``sum`` of counts, ``max`` of ages, ``min`` of times.
    """

    name: str
    help: str
    labels: tuple[str, ...]
    value: str
    fold: Callable[[Iterable[float]], float] = sum

    def samples(self, rows: Iterable[Row]) -> Samples:
        """Values by labels; rows without a value are left out, those with equal labels folded."""
        found: dict[tuple[str, ...], list[float]] = {}
        for row in rows:
            if row[self.value] is not None:
                labels = tuple(str(row[label] or "") for label in self.labels)
                found.setdefault(labels, []).append(float(row[self.value]))
        return {labels: float(self.fold(values)) for labels, values in found.items()}

    def bounded(self, samples: Samples, limit: int) -> tuple[Samples, int]:
        """At most ``limit`` samples and one for the rest, and how many went into that.

        Those that matter stay: the largest, or of times the oldest.
        """
        if not self.labels or len(samples) <= limit:
            return samples, 0
        first = sorted(samples, key=lambda labels: (samples[labels], labels))
        if self.fold is not min:
            first.reverse()
        rest = first[limit:]
        kept = {labels: samples[labels] for labels in first[:limit]}
        kept[(OTHER,) * len(self.labels)] = float(self.fold(samples[each] for each in rest))
        return kept, len(rest)


class Known:
    """Label sets of counters: the first ``limit`` keep their names, later ones become OTHER."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._names: set[tuple[str, ...]] = set()
        self._others: set[int] = set()

    def labels(self, names: Sequence[str | None]) -> tuple[str, ...]:
        """The labels under which this one is counted."""
        wanted = tuple(name or "" for name in names)
        if wanted in self._names:
            return wanted
        if len(self._names) < self._limit:
            self._names.add(wanted)
            return wanted
        # Hashes: this must not grow by what it keeps others from growing by.
        if len(self._others) < 100_000:
            self._others.add(hash(wanted))
        return (OTHER,) * len(wanted)

    @property
    def folded(self) -> int:
        """How many label sets have become OTHER."""
        return len(self._others)

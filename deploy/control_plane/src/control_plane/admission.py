"""Which queued runs start next: by priority, and in turn between code locations.

First in, first out lets a backfill of a hundred days take every slot, and a single run of another
team waits behind it for minutes. The rule: docs/decisions/0018-fair-admission.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dagster import DagsterRun

from control_plane.internals.daemon import PRIORITY_TAG
from control_plane.runs import location_of


@dataclass
class Admission:
    """How many runs each code location has, and how many it may have; None for any number.

    ``launching`` are those of ``in_progress`` whose launch has not ended.
    """

    most_in_progress: int | None = None
    most_launching: int | None = None
    in_progress: Counter[str | None] = field(default_factory=Counter)
    launching: Counter[str | None] = field(default_factory=Counter)

    def ordered(self, runs: Iterable[DagsterRun]) -> list[DagsterRun]:
        """The runs, oldest first, in the order in which they start; what must wait comes last."""
        return [run for _, run in self._ranked(runs)]

    def admitted(self, runs: Iterable[DagsterRun]) -> list[DagsterRun]:
        """Those that their location's bounds let start now, in order."""
        return [run for waits, run in self._ranked(runs) if not waits]

    def _ranked(self, runs: Iterable[DagsterRun]) -> list[tuple[bool, DagsterRun]]:
        ranks = sorted(self._ranks(runs), key=lambda rank: rank[:3])
        return [(waits, run) for waits, _, _, run in ranks]

    def _ranks(self, runs: Iterable[DagsterRun]) -> Iterator[tuple[bool, int, int, DagsterRun]]:
        """Whether a run must wait, how late its priority is, its turn in its location, and it."""
        chosen: Counter[str | None] = Counter()
        for run in sorted(runs, key=priority, reverse=True):
            location = location_of(run)
            turn = self.in_progress[location] + chosen[location]
            waits = _reaches(self.launching[location] + chosen[location], self.most_launching) or (
                priority(run) <= 0 and _reaches(turn, self.most_in_progress)
            )
            chosen[location] += 1
            yield waits, -priority(run), turn, run


def most_in_progress(max_concurrent_runs: int) -> int | None:
    """How many of the slots one location may hold: all but one. Dagster's -1 means no limit."""
    return max_concurrent_runs - 1 if max_concurrent_runs > 1 else None


def priority(run: DagsterRun) -> int:
    """The number in the run's tag dagster/priority, as Dagster reads it: 0 for what is none."""
    try:
        return int(run.tags.get(PRIORITY_TAG, "0"))
    except ValueError:
        return 0


def _reaches(count: int, most: int | None) -> bool:
    return most is not None and count >= most

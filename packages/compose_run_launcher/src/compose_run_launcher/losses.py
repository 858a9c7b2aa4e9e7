"""Whose fault the end of a run was: what was lost comes through when it is tried again.

The decision is in a tag of the run, written before the run is failed, so that whichever
process comes next knows it. The tag names the run, for re-executions inherit tags.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum
from typing import Self

from dagster import DagsterInstance, DagsterRun

# Of the kind that the user interface does not show, and that no location's role may write.
FAULT_TAG = ".dagster/fault"
# From the first of several losses in a row on.
_TRIED_FOR_S = 24 * 3600.0
_FIRST_PAUSE_S = 10.0
_LONGEST_PAUSE_S = 3600.0


class Fault(Enum):
    """Whose fault the end of a run was."""

    # Nothing is wrong with the run: its container was killed, or could not be had.
    LOST = "lost"
    # It would end in the same way again, or somebody wanted it to end.
    OWN = "own"


@dataclass(frozen=True)
class Decision:
    """Why a run was ended. ``losses`` counts them in a row, this one included.

    ``first`` is when the first run in that row was lost, ``last`` when this one ended; both in
    seconds since 1970.
    """

    run_id: str
    fault: Fault
    losses: int
    first: float
    last: float

    @classmethod
    def of(cls, run: DagsterRun, run_id: str | None = None) -> Self | None:
        """What the run's tag says of it, or of the run named; None if nothing."""
        try:
            named, fault, losses, first, last = run.tags.get(FAULT_TAG, "").split()
            found = cls(named, Fault(fault), int(losses), float(first), float(last))
        except ValueError:
            return None
        return found if named == (run_id or run.run_id) else None

    @property
    def tags(self) -> dict[str, str]:
        """As the run carries it."""
        text = f"{self.run_id} {self.fault.value} {self.losses} {self.first:.3f} {self.last:.3f}"
        return {FAULT_TAG: text}

    @property
    def due(self) -> float:
        """When the run may be tried again, in seconds since 1970; after its first loss at once."""
        if self.losses < 2:
            return self.last
        return self.last + min(_FIRST_PAUSE_S * 2.0 ** (self.losses - 2), _LONGEST_PAUSE_S)

    @property
    def comes_through(self) -> bool:
        """Whether a run that ended so is tried again: for a day, after longer and longer pauses."""
        return self.fault is Fault.LOST and self.last - self.first <= _TRIED_FOR_S

    def describe(self) -> str:
        """For people, of a run that was lost more than once in a row; else empty."""
        if self.fault is not Fault.LOST or self.losses < 2:
            return ""
        lost = f"Of these attempts {self.losses} were lost in a row"
        if not self.comes_through:
            return f"{lost}, for longer than a day: the run is not tried again."
        return f"{lost}: the run is tried again in {self.due - self.last:.0f} s."


def decide(instance: DagsterInstance, run: DagsterRun, fault: Fault) -> Decision:
    """Write down whose fault a run's end is, before the run is failed."""
    now = time.time()
    # The run that this one retries was lost, too: they count together.
    former = Decision.of(run, run.parent_run_id) if run.parent_run_id else None
    losses, first = (former.losses + 1, former.first) if former else (1, now)
    decision = Decision(run.run_id, fault, losses, first, now)
    instance.add_run_tags(run.run_id, decision.tags)
    return decision

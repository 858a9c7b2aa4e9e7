"""When to start an ended service again: soon, then later."""

from __future__ import annotations

from dataclasses import dataclass

_LONGEST_S = 30.0
_STEADY_S = 60.0


@dataclass
class Restarts:
    """The record of one service: failures in a row, restarts in all, and when the next is due."""

    failures: int = 0
    total: int = 0
    due: float | None = None

    def ended(self, now: float, age_s: float) -> float:
        """Note an end at ``now`` after ``age_s`` seconds; seconds to the next try.

        A service that ran well for a while starts with a clean record.
        """
        self.failures = 1 if age_s >= _STEADY_S else self.failures + 1
        pause = min(_LONGEST_S, 2.0 ** min(self.failures - 1, 10))
        self.due = now + pause
        return pause

    def take(self, now: float) -> bool:
        """True once, when the next try is due."""
        if self.due is None or now < self.due:
            return False
        self.due = None
        self.total += 1
        return True

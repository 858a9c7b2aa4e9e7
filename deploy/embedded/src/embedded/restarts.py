"""When to start an ended code server again: soon, then later, then not any more."""

from __future__ import annotations

from dataclasses import dataclass

_LONGEST_S = 30.0
_STEADY_S = 60.0
_LIMIT = 6


@dataclass
class Restarts:
    """The record of one service."""

    failures: int = 0
    due: float | None = None

    @property
    def given_up(self) -> bool:
        return self.failures >= _LIMIT

    def ended(self, now: float, age_s: float) -> float | None:
        """Note an end at ``now`` after ``age_s`` seconds; seconds to the next try, or None.

        A service that ran well for a while starts with a clean record.
        """
        self.failures = 1 if age_s >= _STEADY_S else self.failures + 1
        if self.given_up:
            self.due = None
            return None
        pause = min(_LONGEST_S, 2.0 ** (self.failures - 1))
        self.due = now + pause
        return pause

    def take(self, now: float) -> bool:
        """True once, when the next try is due."""
        if self.due is None or now < self.due:
            return False
        self.due = None
        return True

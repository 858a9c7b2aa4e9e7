"""Removes old history once a day: a thread of the daemon, which starts a process of its own.

The process gives its memory back when it ends, and one that fails or is killed takes nothing with
it. When it last began is in the database, so that a daemon that restarts does not begin again.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from compose_run_launcher.threads import Endless
from dagster import DagsterInstance

_LOOK_S = 60.0
# After a start the machine has other work.
_SETTLED = timedelta(minutes=10)
KEY = "stack/retention-began"
logger = logging.getLogger(__name__)


def is_due(now: datetime, last: datetime | None, hour: int, started: datetime) -> bool:
    """Whether the last time of day ``hour`` has passed without a removal.

    A machine that was off at that hour does it when it is on; a new stack waits for its first.
    """
    at = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    if at > now:
        at -= timedelta(days=1)
    if now - started < _SETTLED and now - at > timedelta(hours=1):
        return False
    return last is not None and last < at


class Daily(Endless):
    """Begins the removal at ``hour`` (UTC)."""

    def __init__(self, instance: DagsterInstance, hour: int) -> None:
        super().__init__("retention")
        self._storage: Any = instance.run_storage
        self._hour = hour
        self._since = datetime.now(UTC)

    def follow(self) -> None:
        """One look, and a pause."""
        time.sleep(_LOOK_S)
        self.look()

    def look(self) -> bool:
        """Remove if that is due; whether it was."""
        now = datetime.now(UTC)
        last = self._last()
        if last is None:
            self._storage.set_cursor_values({KEY: now.isoformat()})
        if not is_due(now, last, self._hour, self._since):
            return False
        self._storage.set_cursor_values({KEY: now.isoformat()})
        self._remove()
        return True

    def _last(self) -> datetime | None:
        found = self._storage.get_cursor_values({KEY}).get(KEY)
        return datetime.fromisoformat(found) if found else None

    def _remove(self) -> None:
        logger.info("old history is removed now (docs/retention.md)")
        done = subprocess.run(
            [sys.executable, "-m", "control_plane.retention", "run", "--quiet"],
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        said = (done.stdout + done.stderr).strip()
        if done.returncode == 0:
            logger.info("%s", said)
        else:
            logger.error("old history was not removed: %s", said[-1000:] or done.returncode)

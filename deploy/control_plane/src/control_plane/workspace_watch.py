"""The daemon follows its workspace file within seconds, and loads what is loaded no more."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from control_plane.internals.daemon import RELOAD_WORKSPACE_INTERVAL

# After this time everything is read again, in case an event was missed.
_AT_LATEST_S = 600.0

logger = logging.getLogger(__name__)


class PromptRefresh:
    """Wraps the controller's ``check_workspace_freshness``, which it calls every 5 seconds.

    Dagster's own reads the workspace and all definitions once a minute, which is a quarter of what
    an idle daemon and its code servers do. This one makes it overdue as soon as the file has
    changed, and leaves it out while ``all_are_served`` says that what is loaded is what serves;
    whatever goes wrong is judged by Dagster's own rules.
    """

    def __init__(
        self,
        workspace: Path,
        check: Callable[[float], float],
        all_are_served: Callable[[], bool] | None = None,
    ) -> None:
        self._workspace = workspace
        self._check = check
        self._all_are_served = all_are_served
        self._seen = self._stamp()
        self._read_at = time.monotonic()

    def __call__(self, last_workspace_update_time: float) -> float:
        """Refresh if that is due; when all was up to date last, in seconds of Unix time."""
        stamp = self._stamp()
        late = time.monotonic() - self._read_at > _AT_LATEST_S
        if stamp == self._seen and not late:
            if self._all_are_served and self._all_are_served():
                return time.time()
            return self._check(last_workspace_update_time)
        overdue = min(last_workspace_update_time, time.time() - RELOAD_WORKSPACE_INTERVAL - 1)
        refreshed = self._check(overdue)
        if refreshed > overdue:
            if stamp != self._seen:
                logger.info("the workspace file has changed, and was read")
            self._seen, self._read_at = stamp, time.monotonic()
        # A refresh that failed is tried again, and counts as late from the last good one on.
        return refreshed if refreshed > overdue else last_workspace_update_time

    def _stamp(self) -> tuple[int, int] | None:
        """The file's identity: it is replaced, never written in place."""
        try:
            found = self._workspace.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

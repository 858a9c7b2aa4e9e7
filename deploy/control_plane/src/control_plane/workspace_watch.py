"""The daemon follows its workspace file within seconds."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from control_plane.internals.daemon import RELOAD_WORKSPACE_INTERVAL

logger = logging.getLogger(__name__)


class PromptRefresh:
    """Wraps the controller's ``check_workspace_freshness``, which it calls every 5 seconds.

    Dagster's own reads the workspace once a minute. This one makes it overdue as soon as the
    file has changed; whatever goes wrong then is judged by Dagster's own rules.
    """

    def __init__(self, workspace: Path, check: Callable[[float], float]) -> None:
        self._workspace = workspace
        self._check = check
        self._seen = self._stamp()

    def __call__(self, last_workspace_update_time: float) -> float:
        """Refresh if that is due; when it was done last, in seconds of Unix time."""
        stamp = self._stamp()
        if stamp == self._seen:
            return self._check(last_workspace_update_time)
        overdue = min(last_workspace_update_time, time.time() - RELOAD_WORKSPACE_INTERVAL - 1)
        refreshed = self._check(overdue)
        if refreshed > overdue:
            self._seen = stamp
            logger.info("the workspace file has changed, and was read")
        # A refresh that failed is tried again, and counts as late from the last good one on.
        return refreshed if refreshed > overdue else last_workspace_update_time

    def _stamp(self) -> tuple[int, int] | None:
        """The file's identity: it is replaced, never written in place."""
        try:
            found = self._workspace.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

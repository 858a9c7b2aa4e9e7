"""Keeps the step logs of one code location from filling the disk of all.

Docker's volumes have no quota, and a location writes in its folder with all that it has, so the
daemon measures. A location that has more than its limit ends: its runs in progress are terminated,
and those in the queue are failed, each with the reason in its events.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from compose_run_launcher.threads import Endless
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from control_plane.runs import location_of

_LOOK_S = 5.0
# How long a measure holds while the disk does not get fuller.
_MEASURE_S = 600.0
_GB = 10**9
_IN_PROGRESS = RunsFilter(statuses=[DagsterRunStatus.STARTING, DagsterRunStatus.STARTED])
logger = logging.getLogger(__name__)


def measured(folder: Path) -> int:
    """Bytes that the disk gives to what is below a folder. Links are not followed."""
    found = 0
    for root, _, files in os.walk(folder):
        for name in files:
            try:
                found += os.lstat(os.path.join(root, name)).st_blocks * 512  # noqa: PTH118  # many
            except OSError:
                continue
    return found


class StepLogLimits(Endless):
    """Measures each location's folder of ``folder``; ``limit`` is in bytes."""

    def __init__(self, instance: DagsterInstance, folder: Path, limit: int) -> None:
        super().__init__("step-log-limits")
        self._instance = instance
        self._folder = folder
        self._limit = limit
        self._over: dict[str, int] = {}
        self._free: int | None = None
        self._measured_at = 0.0

    def refusal(self, run: DagsterRun) -> str | None:
        """Why a run may not begin now; None when it may."""
        location = location_of(run)
        if location is None or location not in self._over:
            return None
        return self._why(location, self._over[location])

    def _why(self, location: str, bytes_: int) -> str:
        return (
            f"The step logs of code location {location} take {bytes_ / _GB:.1f} GB, more than the"
            f" {self._limit / _GB:g} GB of STEP_LOGS_LIMIT_GB. Fix: delete old ones"
            f" (docs/locations.md, 'Step logs'), or set another limit in .env"
        )

    def follow(self) -> None:
        """One look, and a pause."""
        self.look()
        time.sleep(_LOOK_S)

    def look(self) -> None:
        """Measure if the disk got fuller or that is due, and end what is over its limit."""
        status = os.statvfs(self._folder)
        free = status.f_bavail * status.f_frsize
        fuller = self._free is None or self._free - free > self._limit / 20
        if not fuller and not self._over and time.monotonic() - self._measured_at < _MEASURE_S:
            return
        folders = [each for each in os.scandir(self._folder) if each.is_dir(follow_symlinks=False)]
        sizes = {each.name: measured(Path(each.path)) for each in folders}
        self._free, self._measured_at = free, time.monotonic()
        over = {name: size for name, size in sizes.items() if size > self._limit}
        for name in self._over.keys() - over.keys():
            logger.info("the step logs of code location %s are within their limit again", name)
        for name in over.keys() - self._over.keys():
            logger.error("%s", self._why(name, over[name]))
        self._over = over
        if over:
            self._end_runs()

    def _end_runs(self) -> None:
        for run in self._instance.get_runs(_IN_PROGRESS):
            why = self.refusal(run)
            if why is not None:
                self._instance.report_engine_event(why, run)
                self._instance.run_launcher.terminate(run.run_id)

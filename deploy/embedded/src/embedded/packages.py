"""Each location's own environment, brought in line with its lock file."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from control_plane.errors import StackError

from embedded.locations import Location


def sync(install: Path, locations: Sequence[Location]) -> None:
    """Install what the locks say, all at once; milliseconds when there is nothing to do.

    Raises StackError naming each location whose packages cannot be installed, and why.
    """
    running = [_begin(install, location) for location in locations]
    try:
        said = [process.communicate()[1].strip() for process in running]
    finally:
        for process in running:
            # The script, and uv that it has started.
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
    failures = [
        text.removeprefix("error: ") or f"the packages of {location.name} cannot be installed"
        for location, process, text in zip(locations, running, said, strict=True)
        if process.returncode != 0
    ]
    if failures:
        raise StackError("; ".join(failures))


def _begin(install: Path, location: Location) -> subprocess.Popen[str]:
    # In a session of its own: Ctrl-C is for us, and we end it.
    return subprocess.Popen(
        [install, location.folder, f"the packages of {location.name}"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )

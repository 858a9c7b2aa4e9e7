"""Each location's own environment, brought in line with its lock file."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from control_plane.errors import StackError

from embedded.console import say
from embedded.locations import Location


def sync(uv: Path, locations: Sequence[Location]) -> None:
    """Install what the locks say; milliseconds when there is nothing to do.

    Raises StackError naming the location whose packages cannot be installed.
    """
    checks = [
        (
            location,
            subprocess.Popen(
                [*_command(uv, location), "--check", "--quiet"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ),
        )
        for location in locations
    ]
    stale = [location for location, check in checks if check.wait() != 0]
    for location in stale:
        say(f"Installing the packages of {location.name} from its lock file")
        # Its own errors name the package and the reason, so they go to the console.
        if subprocess.run([*_command(uv, location), "--quiet"], check=False).returncode != 0:
            raise StackError(
                f"the packages of {location.name} could not be installed, see above; "
                f"its lock file is {location.folder / 'uv.lock'}"
            )


def _command(uv: Path, location: Location) -> list[str]:
    # --inexact keeps what a developer added to the environment, such as the test tools.
    return [str(uv), "sync", "--project", str(location.folder), "--frozen", "--no-dev", "--inexact"]

"""dbt's manifest of each location that has a dbt project: the counterpart of the image's build."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from embedded.console import complain, working
from embedded.locations import Location


def make(dbt_parse: Path, locations: Sequence[Location]) -> None:
    """Make what is missing or out of date; milliseconds when there is nothing to do.

    A project that cannot be parsed is named on the console, after dbt's own words; its location
    then does not load, and the others do.
    """
    for location in locations:
        # What dbt says names the file, so it goes to the console.
        with working(f"the manifest of {location.name}"):
            done = subprocess.run([dbt_parse, location.folder], check=False)
        if done.returncode != 0:
            complain(
                f"the dbt project of {location.name} cannot be parsed, see above; after a fix: "
                f"{dbt_parse} {location.folder}, and Reload in the UI"
            )

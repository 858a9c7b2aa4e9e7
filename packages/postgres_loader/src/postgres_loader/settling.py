"""Waits for files of a folder that are still being written."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import tenacity

from postgres_loader.landing_zone import FileInfo, LandingZone

# What was written in this time may still be growing.
YOUNG = timedelta(seconds=30)
# A young file is complete when two looks, so far apart, find the same version.
LOOK_S = 5.0
DEADLINE_S = 120.0


def still_growing(zone: LandingZone, names: Collection[str]) -> set[str]:
    """Those of the files that go on changing while we wait, at most DEADLINE_S, for their end.

    Nothing is waited for where files are listed only when they are whole, or are old enough.
    """
    if zone.files_are_whole:
        return set()
    since = datetime.now(UTC) - YOUNG
    seen: set[FileInfo] = set()

    def changed_ones() -> set[FileInfo]:
        nonlocal seen
        young = {file for file in zone.files() if file.name in names and file.modified > since}
        changed, seen = young - seen, young
        return changed

    patiently = tenacity.Retrying(
        retry=tenacity.retry_if_result(bool),
        wait=tenacity.wait_fixed(LOOK_S),
        stop=tenacity.stop_after_delay(DEADLINE_S),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else set(),
    )
    return {file.name for file in patiently(changed_ones)}

"""Runs that failed for something that may pass are asked for again.

Such a run carries a tag. The sensor asks for another run in its place, once, and for another one
in the place of that if it fails like this too: for as long as it lasts.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import dagster as dg

_FAILED = "landing_zone/may_pass"
_PARTITION = "dagster/partition"
_RUN_KEY = "dagster/run_key"
# The run of the next night has loaded everything by then.
_FORGOTTEN_AFTER = timedelta(days=1)


def outage_tags(asset: str) -> dict[str, str]:
    """For a run in which loading `asset` failed for something that may pass."""
    return {_FAILED: "true", f"{_FAILED}/{asset}": "true"}


def second_requests(
    instance: dg.DagsterInstance, assets: Collection[str], limit: int
) -> list[dg.RunRequest]:
    """For each run that failed so, and for which no other run was asked yet: at most `limit`, the
    oldest first. They load those of the `assets` that failed."""
    failed = instance.get_runs(
        dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE],
            tags={_FAILED: "true"},
            updated_after=datetime.now(UTC) - _FORGOTTEN_AFTER,
        )
    )
    runs = {f"instead of {run.run_id}": run for run in reversed(failed)}
    if not runs:
        return []
    asked = instance.get_runs(dg.RunsFilter(tags={_RUN_KEY: list(runs)}))
    done = {run.tags[_RUN_KEY] for run in asked}
    found = []
    for key, run in runs.items():
        again = [dg.AssetKey(name) for name in sorted(assets) if f"{_FAILED}/{name}" in run.tags]
        if again and key not in done:
            tags = {"landing_zone/instead_of": run.run_id}
            partition = run.tags.get(_PARTITION)
            found.append(
                dg.RunRequest(key, asset_selection=again, partition_key=partition, tags=tags)
            )
    return found[:limit]

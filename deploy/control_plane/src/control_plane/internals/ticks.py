"""What is needed to look at what sensors, schedules and automation request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compose_run_launcher.private_names import Hook, needed_by

with needed_by("keeping requests in their repository"):
    from dagster._core.definitions.asset_key import AssetCheckKey as AssetCheckKey
    from dagster._core.definitions.asset_key import AssetJobKey as AssetJobKey
    from dagster._core.definitions.asset_key import EntityKey as EntityKey
    from dagster._core.remote_representation.code_location import CodeLocation as CodeLocation
    from dagster._core.remote_representation.handle import RepositoryHandle as RepositoryHandle
    from dagster._core.storage.tags import BACKFILL_ID_TAG as BACKFILL_ID_TAG
    from dagster._daemon import sensor
    from dagster._daemon.asset_daemon import AssetDaemon

    # Where a tick gets the code location that it asks.
    from dagster._daemon.sensor import _get_code_location_for_sensor as location_of_sensor
    from dagster._record import copy as copy
    from dagster._scheduler import scheduler
    from dagster._scheduler.scheduler import _get_code_location_for_schedule as location_of_schedule

__all__ = ["location_of_schedule", "location_of_sensor"]

# Where the asset daemon turns what it has found due into runs and backfills.
SUBMIT_ALL, SUBMIT = HOOKS = (
    Hook(
        AssetDaemon,
        "_submit_run_requests_and_update_evaluations",
        (
            *("self", "instance", "tick_context", "workspace_process_context", "workspace"),
            *("evaluations_by_key", "evaluation_id", "run_requests", "reserved_run_ids"),
            *("debug_crash_flags", "remote_sensor", "run_request_execution_data_cache"),
            "print_group_name",
        ),
        "keeping automation in its repository",
    ),
    Hook(
        AssetDaemon,
        "_submit_run_request",
        (
            *("self", "i", "instance", "workspace_process_context", "workspace"),
            *("evaluation_id", "run_request", "reserved_run_id"),
            *("run_request_execution_data_cache", "debug_crash_flags"),
        ),
        "keeping automation in its repository",
    ),
)
# For tests: where the replacements stand.
PLACES = (
    (sensor, "_get_code_location_for_sensor"),
    (scheduler, "_get_code_location_for_schedule"),
    *((hook.owner, hook.name) for hook in HOOKS),
)
submit_all, submit = (hook.original() for hook in HOOKS)


def check_hooks() -> None:
    """Raise Incompatible for the first hook that is not what we rely on."""
    for hook in HOOKS:
        hook.original()


def ask_by(of_sensor: Callable[..., Any], of_schedule: Callable[..., Any]) -> None:
    """Have ticks get the location that they ask from these."""
    for (place, name), replacement in zip(PLACES[:2], (of_sensor, of_schedule), strict=True):
        setattr(place, name, replacement)


check_hooks()

"""What the webserver needs to read each location's step logs in that location's folder alone."""

from __future__ import annotations

from compose_run_launcher.private_names import Hook, needed_by

_FEATURE = "keeping step logs of code locations apart"

with needed_by(_FEATURE):
    from dagster._core.instance.ref import InstanceRef as InstanceRef
    from dagster._core.scheduler.instigation import InstigatorState as InstigatorState
    from dagster._core.storage.compute_log_manager import (
        CapturedLogSubscription as CapturedLogSubscription,
    )
    from dagster._core.storage.compute_log_manager import ComputeIOType as ComputeIOType
    from dagster._core.storage.local_compute_log_manager import (
        IO_TYPE_EXTENSION as IO_TYPE_EXTENSION,
    )
    from dagster._core.storage.local_compute_log_manager import (
        MAX_FILENAME_LENGTH as MAX_FILENAME_LENGTH,
    )
    from dagster._core.storage.local_compute_log_manager import (
        LocalComputeLogManager as LocalComputeLogManager,
    )
    from dagster._core.storage.schedules.schema import InstigatorsTable as InstigatorsTable
    from dagster._core.storage.schedules.schema import JobTickTable as JobTickTable
    from dagster._serdes import deserialize_value as deserialize_value
    from dagster._utils.security import non_secure_md5_hash_str as non_secure_md5_hash_str
    from dagster_webserver.webserver import DagsterWebserver

MANAGER = Hook(InstanceRef, "compute_log_manager", None, _FEATURE)
DOWNLOAD = Hook(DagsterWebserver, "download_captured_logs_endpoint", ("self", "request"), _FEATURE)
HOOKS = (MANAGER, DOWNLOAD)


def base_dir(manager: LocalComputeLogManager) -> str:
    """The folder that a manager of local logs was given, which it keeps to itself."""
    folder: str = manager._base_dir
    return folder

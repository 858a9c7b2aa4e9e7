"""What the daemon needs to be quick: its queue, its workspace, its database connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compose_run_launcher.private_names import Hook, attribute, needed_by
from dagster import DagsterInstance

with needed_by("the daemon"):
    from dagster._core.errors import (
        DagsterUserCodeUnreachableError as DagsterUserCodeUnreachableError,
    )
    from dagster._core.remote_representation.code_location import (
        GrpcServerCodeLocation as GrpcServerCodeLocation,
    )
    from dagster._core.storage.event_log import SqlEventLogStorage
    from dagster._core.storage.runs import SqlRunStorage
    from dagster._core.storage.schedules import SqlScheduleStorage
    from dagster._core.storage.tags import PRIORITY_TAG as PRIORITY_TAG
    from dagster._core.workspace.context import IWorkspaceProcessContext as IWorkspaceProcessContext
    from dagster._core.workspace.context import WorkspaceProcessContext as WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget as WorkspaceFileTarget

    # The daemon's own assembly, as `dagster-daemon run` calls it.
    from dagster._daemon.controller import (
        RELOAD_WORKSPACE_INTERVAL as RELOAD_WORKSPACE_INTERVAL,
    )
    from dagster._daemon.controller import DagsterDaemonController
    from dagster._daemon.controller import (
        create_daemons_from_instance as create_daemons_from_instance,
    )
    from dagster._daemon.controller import (
        daemon_controller_from_instance as daemon_controller_from_instance,
    )
    from dagster._daemon.daemon import DagsterDaemon as DagsterDaemon
    from dagster._daemon.run_coordinator import (
        QueuedRunCoordinatorDaemon as QueuedRunCoordinatorDaemon,
    )
    from dagster._utils.interrupts import capture_interrupts as capture_interrupts
    from dagster._utils.interrupts import setup_interrupt_handlers as setup_interrupt_handlers

_FRESHNESS = Hook(
    DagsterDaemonController,
    "check_workspace_freshness",
    ("self", "last_workspace_update_time"),
    "following the workspace file",
)
HOOKS = (
    _FRESHNESS,
    Hook(
        QueuedRunCoordinatorDaemon,
        "core_loop",
        ("self", "workspace_process_context", "shutdown_event"),
        "taking queued runs at once",
    ),
    Hook(
        QueuedRunCoordinatorDaemon,
        "run_iteration",
        ("self", "workspace_process_context", "fixed_iteration_time"),
        "taking queued runs at once",
    ),
    Hook(
        QueuedRunCoordinatorDaemon,
        "_get_runs_to_dequeue",
        ("self", "instance", "concurrency_config", "fixed_iteration_time"),
        "starting a burst of runs in portions",
    ),
    Hook(
        QueuedRunCoordinatorDaemon,
        "_dequeue_run",
        ("self", "instance", "workspace", "run", "concurrency_config", "fixed_iteration_time"),
        "failing a run whose row cannot be read by itself",
    ),
    Hook(
        QueuedRunCoordinatorDaemon,
        "_get_in_progress_run_records",
        ("self", "instance"),
        "counting runs that are being launched",
    ),
    Hook(
        QueuedRunCoordinatorDaemon,
        "_priority_sort",
        ("self", "runs"),
        "admitting code locations in turn",
    ),
    Hook(
        QueuedRunCoordinatorDaemon,
        "_dequeue_runs_iter_threaded",
        (
            *("self", "workspace_process_context", "runs_to_dequeue", "max_workers"),
            *("concurrency_config", "fixed_iteration_time"),
        ),
        "launching runs while the queue goes on",
    ),
    Hook(
        QueuedRunCoordinatorDaemon,
        "_dequeue_run_thread",
        (
            *("self", "workspace_process_context", "run", "concurrency_config"),
            "fixed_iteration_time",
        ),
        "launching runs while the queue goes on",
    ),
    Hook(
        QueuedRunCoordinatorDaemon,
        "_get_executor",
        ("self", "max_workers"),
        "launching runs while the queue goes on",
    ),
    Hook(
        DagsterInstance,
        "optimize_for_webserver",
        ("self", "statement_timeout", "pool_recycle", "max_overflow"),
        "keeping database connections",
    ),
    Hook(SqlRunStorage, "connect", ("self",), "keeping database connections"),
    Hook(SqlEventLogStorage, "index_connection", ("self",), "keeping database connections"),
    Hook(SqlScheduleStorage, "connect", ("self",), "keeping database connections"),
)


def check_hooks() -> None:
    """Raise Incompatible for the first hook that is not what we rely on."""
    for hook in HOOKS:
        hook.original()


def workspace_of(controller: DagsterDaemonController) -> IWorkspaceProcessContext[Any]:
    """What the controller has loaded, which it keeps to itself. Raises Incompatible."""
    found: IWorkspaceProcessContext[Any] = attribute(
        controller, "_workspace_process_context", "the list of served releases"
    )
    return found


def check_freshness_by(
    controller: DagsterDaemonController, check: Callable[[float], float]
) -> None:
    """Have the controller refresh its workspace by ``check``. Raises Incompatible."""
    _FRESHNESS.replace(check, controller)


def connects_of(instance: DagsterInstance) -> list[Callable[[], Any]]:
    """How each storage of an instance in a database opens a connection."""
    runs: Any = instance.run_storage
    events: Any = instance.event_log_storage
    ticks: Any = instance.schedule_storage
    return [runs.connect, events.index_connection, ticks.connect]


check_hooks()

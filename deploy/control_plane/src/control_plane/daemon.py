"""dagster-daemon, in Docker and without.

Dagster's own command loads the run launcher with the first run. Ours also follows releases,
catches up with runs, and keeps standby workers, so the daemon has to know it before.
"""

from __future__ import annotations

from control_plane import imports  # isort: split

import logging
import os
import sys
from functools import partial
from pathlib import Path

import click
from compose_run_launcher import ComposeRunLauncher
from dagster import DagsterInstance

from control_plane.connections import keep_connections
from control_plane.errors import StackError
from control_plane.internals.daemon import (
    WorkspaceFileTarget,
    capture_interrupts,
    check_freshness_by,
    daemon_controller_from_instance,
    setup_interrupt_handlers,
    workspace_of,
)
from control_plane.kept_connections import keep_connections_to_code_servers
from control_plane.one_end import end_runs_once
from control_plane.one_order import keep_one_order
from control_plane.own_requests import keep_requests_in_their_repository
from control_plane.planned_events import write_planned_events_at_once
from control_plane.pool_default import publish_pool_default
from control_plane.queue_daemon import daemons
from control_plane.retention.rules import hour_of, rules_of
from control_plane.retention.schedule import Daily
from control_plane.retries import Retries
from control_plane.run_writes import write_runs_whole
from control_plane.served import ServedFile
from control_plane.session_limits import SessionLimits
from control_plane.step_log_limits import StepLogLimits
from control_plane.unreadable_runs import read_around_unreadable_runs
from control_plane.workspace_watch import PromptRefresh


@click.command()
@click.option(
    "--served",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file to keep the images of the loaded code locations in, as JSON.",
)
@click.option(
    "--workspace",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The workspace.yaml that names the code locations.",
)
@click.option(
    "--step-logs",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder with a folder of step logs for each code location.",
)
@click.option(
    "--step-logs-limit-gb",
    type=click.FloatRange(min=0),
    default=0,
    help="What the step logs of one code location may take on the disk; 0 for no limit.",
)
def main(
    workspace: Path, served: Path | None, step_logs: Path | None, step_logs_limit_gb: float
) -> None:
    """Run Dagster's daemon, and the run launcher's watch beside it."""
    try:
        rules_of(os.environ)
        hour = hour_of(os.environ)
    except StackError as error:
        sys.exit(f"error: {error}")
    imports.done()
    setup_interrupt_handlers()
    keep_one_order()
    keep_connections_to_code_servers()
    read_around_unreadable_runs()
    keep_requests_in_their_repository()
    write_runs_whole()
    write_planned_events_at_once()
    end_runs_once()
    with capture_interrupts(), DagsterInstance.get() as instance:
        keep_connections(instance)
        publish_pool_default(instance)
        if isinstance(instance.run_launcher, ComposeRunLauncher):
            instance.run_launcher.watch()
        target = WorkspaceFileTarget([str(workspace)])
        # Without folders of their own, as in the embedded mode, no location's logs can be told.
        limit = int(step_logs_limit_gb * 1e9) if step_logs else 0
        limits = StepLogLimits(instance, step_logs or Path(), limit)
        with daemon_controller_from_instance(
            instance,
            workspace_load_target=target,
            gen_daemons=partial(daemons, refusal=limits.refusal),
        ) as controller:
            share_log_format("compose_run_launcher")
            share_log_format("control_plane")
            SessionLimits(instance).start()
            Retries(instance, partial(workspace_of, controller)).take_over()
            if limit:
                limits.start()
            if hour is not None:
                Daily(instance, hour).start()
            file = served and ServedFile(workspace_of(controller), served)
            if file:
                file.start()
            check = controller.check_workspace_freshness
            refresh = PromptRefresh(workspace, check, file.complete if file else None)
            check_freshness_by(controller, refresh)
            controller.check_daemon_loop()


def share_log_format(name: str) -> None:
    """Let a logger write as Dagster's own do."""
    logger = logging.getLogger(name)
    logger.handlers = logging.getLogger("dagster").handlers
    logger.setLevel(logging.INFO)


if __name__ == "__main__":
    main()

"""Runs whose process ended with an earlier stack: without this they would run for ever.

At the start of the stack no run can be alive, because runs are processes of the stack.
"""

from __future__ import annotations

import psycopg2

_MESSAGE = "The stack was stopped while this run was running."


def count(port: int, password: str) -> int:
    """How many runs the storage holds as begun and not ended; cheap, without Dagster."""
    connection = psycopg2.connect(
        host="127.0.0.1", port=port, dbname="dagster", user="dagster", password=password
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM runs WHERE status IN ('STARTING', 'STARTED', 'CANCELING')"
            )
            row = cursor.fetchone()
    finally:
        connection.close()
    return int(row[0]) if row else 0


def end_all() -> int:
    """Report each such run as failed, or canceled if that was under way; how many."""
    from compose_run_launcher.losses import Fault, decide
    from control_plane.one_end import end_runs_once
    from control_plane.retries import decide_by_fault
    from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

    decide_by_fault()
    end_runs_once()

    statuses = [
        DagsterRunStatus.STARTING,
        DagsterRunStatus.STARTED,
        DagsterRunStatus.CANCELING,
    ]
    with DagsterInstance.get() as instance:
        runs = instance.get_runs(filters=RunsFilter(statuses=statuses))
        for run in runs:
            if run.status == DagsterRunStatus.CANCELING:
                instance.report_run_canceled(run, _MESSAGE)
            else:
                decide(instance, run, Fault.LOST)
                instance.report_run_failed(run, _MESSAGE)
    return len(runs)


if __name__ == "__main__":
    print(f"runs ended: {end_all()}")

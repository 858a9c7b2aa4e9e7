"""A run whose row cannot be read is failed by itself, and holds up nobody.

Dagster reads runs in lists: the queue, the monitor, the runs page. One row whose body cannot be
deserialized, or that says that it is another run, fails the whole list, every time. Here such a
row becomes a run without code, which keeps its id, its status and the reason; nothing is changed
by reading. What wants to launch it or asks for its health then fails it like any run.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from control_plane.internals.run_rows import (
    MAX_RETRIES_TAG,
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
    read_runs_by,
    row_to_run,
    runs_query,
)

UNREADABLE_TAG = "control_plane/unreadable"
_LONGEST = 300
# A run that waits must say where it is from.
_NOWHERE = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("unreadable"), "unreadable")

logger = logging.getLogger(__name__)


def read_around_unreadable_runs() -> None:
    """Let this process's run storage go on with the other rows."""
    read_runs_by(_read, _query_with_id, _read_by_id)


def _read(storage: Any, row: dict[str, Any]) -> DagsterRun:
    try:
        return _checked(row, row_to_run(storage, row))
    except Exception as error:
        if "run_id" not in row:
            raise
        return _stand_in(row, f"{type(error).__name__}: {error}")


def _query_with_id(
    storage: Any,
    filters: RunsFilter | None = None,
    cursor: str | None = None,
    limit: int | None = None,
    columns: Sequence[str] | None = None,
    *rest: Any,
    **named: Any,
) -> Any:
    """Dagster's own leaves out the id."""
    wanted = list(columns or ("run_body", "status"))
    if "run_body" in wanted:
        wanted += [name for name in ("run_id", "pipeline_name") if name not in wanted]
    return runs_query(storage, filters, cursor, limit, wanted, *rest, **named)


def _read_by_id(storage: Any, run_id: str) -> DagsterRun | None:
    rows = storage.fetchall(_query_with_id(storage, RunsFilter(run_ids=[run_id])))
    return _read(storage, rows[0]) if rows else None


def _checked(row: dict[str, Any], run: DagsterRun) -> DagsterRun:
    if row.get("run_id", run.run_id) != run.run_id:
        raise ValueError(f"it says that it is run {run.run_id}")
    return run


def why_unreadable(run: DagsterRun) -> str | None:
    """Why the run's row could not be read; None when it could."""
    return run.tags.get(UNREADABLE_TAG)


def fail(instance: DagsterInstance, run: DagsterRun, why: str) -> None:
    """Fail a run that cannot be dequeued, and say which and why."""
    logger.error("run %s is failed: %s", run.run_id, why)
    instance.report_run_failed(run, why)


def _stand_in(row: dict[str, Any], why: str) -> DagsterRun:
    why = " ".join(why.split())[:_LONGEST]
    logger.error("run %s: its row in the database cannot be read: %s", row["run_id"], why)
    job_name = row.get("pipeline_name") or "unreadable"
    known = {status.value: status for status in DagsterRunStatus}
    return DagsterRun(
        job_name=job_name,
        remote_job_origin=RemoteJobOrigin(_NOWHERE, job_name),
        run_id=row["run_id"],
        status=known.get(row["status"], DagsterRunStatus.FAILURE),
        # It would not get better by a retry.
        tags={UNREADABLE_TAG: why, MAX_RETRIES_TAG: "0"},
    )

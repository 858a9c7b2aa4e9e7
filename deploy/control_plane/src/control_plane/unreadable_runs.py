"""A run whose row cannot be read is failed by itself, and holds up nobody.

Dagster reads runs in lists: the queue, the monitor, the runs page. One row whose body cannot be
deserialized, or that says that it is another run, fails the whole list, every time. Here such a
row becomes a run without code, which keeps its id, its status and the reason; nothing is changed
by reading. What wants to launch it or asks for its health then fails it like any run.

The private names of Dagster that this needs, as of 1.13.27, are those of ``_READS``: all reads of
runs go through the first, on rows of queries that the second and third make.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from dagster._core.storage.tags import MAX_RETRIES_TAG

_READS = ("_row_to_run", "_runs_query", "_get_run_by_id")
_row_to_run, _runs_query, _get_run_by_id = (getattr(SqlRunStorage, name) for name in _READS)

UNREADABLE_TAG = "control_plane/unreadable"
_LONGEST = 300
# A run that waits must say where it is from.
_NOWHERE = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("unreadable"), "unreadable")

logger = logging.getLogger(__name__)


def read_around_unreadable_runs() -> None:
    """Let this process's run storage go on with the other rows."""
    for name, replacement in zip(_READS, (_read, _query_with_id, _read_by_id), strict=True):
        setattr(SqlRunStorage, name, replacement)


def _read(storage: Any, row: dict[str, Any]) -> DagsterRun:
    try:
        return _checked(row, _row_to_run(storage, row))
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
    return _runs_query(storage, filters, cursor, limit, wanted, *rest, **named)


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

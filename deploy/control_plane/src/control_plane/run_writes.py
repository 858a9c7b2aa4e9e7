"""Runs and backfills are created whole or not at all, and those that cannot be are refused first.

Dagster writes a run and then its tags, each committed by itself. Tags that the database refuses
used to leave a run without tags, which never started, timed out, and was retried: for ever, since
retries are counted by tags. Now one sentence says what is too large, before anything is written,
wherever the run comes from. deploy/postgres/dagster/2_runs.sql holds the same limits for all roles.

Dagster keeps a run's tags twice, in the run's row and as rows of their own, and commits one after
the other. What is cut off between the two, in a run's process too, leaves a tag in the first place
alone: the run then is not among those with this tag, and would not be retried. So tags are written
in one transaction here, and the rows that are missing are added.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from dagster import DagsterError, DagsterRun

from control_plane.internals import run_writes as internals
from control_plane.internals.run_writes import (
    BACKFILL_ID_TAG,
    PARTITION_NAME_TAG,
    PARTITION_SET_TAG,
)

# Key and value together, in bytes of UTF-8: the index on tags takes 2704.
TAG_LIMIT = 2600
# A run with its configuration, serialized; and the configuration of a backfill's runs.
RUN_LIMIT = 4 * 1024 * 1024

_SHORTER = "shorten it; long values belong into the run configuration or the metadata of an event."
_BY_NAME = "pass large values by a file or a table, and name that in the run configuration."

# The storage and the connection of the transaction that is open in this task.
_transaction: ContextVar[tuple[Any, Any] | None] = ContextVar("transaction", default=None)


class Unstorable(DagsterError):
    """Dagster's database cannot hold it; nothing was written. Never retried."""


def write_runs_whole(error: Callable[[str], Exception] = Unstorable) -> None:
    """Let this process create runs and backfills whole, or raise ``error(sentence)``."""

    def refuse(problem: str | None) -> None:
        if problem is not None:
            raise error(problem)

    def add_run(self: Any, dagster_run: DagsterRun) -> Any:
        refuse(problem_of_run(dagster_run))
        with _one_transaction(self):
            return internals.add_run(self, dagster_run)

    def add_backfill(self: Any, partition_backfill: internals.PartitionBackfill) -> Any:
        refuse(problem_of_backfill(partition_backfill))
        with _one_transaction(self):
            return internals.add_backfill(self, partition_backfill)

    def add_run_tags(self: Any, run_id: str, new_tags: Mapping[str, str]) -> Any:
        problem = problem_of_tags(new_tags)
        refuse(problem and f"Run {run_id}: {problem}")
        with _one_transaction(self), self.connect() as connection:
            # Dagster reads all tags and writes them back: another writer would undo these.
            internals.lock_run(connection, run_id)
            internals.add_run_tags(self, run_id, new_tags)
            internals.add_missing_tags(connection, run_id, new_tags)

    internals.CONNECT.replace(_connect)
    internals.ADD_RUN.replace(add_run)
    internals.ADD_BACKFILL.replace(add_backfill)
    internals.ADD_RUN_TAGS.replace(add_run_tags)


def problem_of_run(run: DagsterRun) -> str | None:
    """Why the run cannot be stored, in one sentence; None when it can."""
    tags = problem_of_tags(run.tags_for_storage())
    if tags is not None:
        return f"Run of job {run.job_name}: {tags}"
    what = f"Run of job {run.job_name}: the run with its configuration"
    return _too_large(what, len(internals.serialize_value(run)), RUN_LIMIT, _BY_NAME)


def problem_of_backfill(backfill: internals.PartitionBackfill) -> str | None:
    """Why the backfill or its runs cannot be stored, in one sentence; None when they can."""
    problem = problem_of_request(backfill.tags, backfill.run_config)
    return problem and f"Backfill {backfill.backfill_id}: {problem}"


def problem_of_request(
    tags: Mapping[str, str] | None, run_config: Mapping[str, Any] | None
) -> str | None:
    """Why runs with these tags and this configuration cannot be stored; None when they can."""
    size = len(json.dumps(run_config or {}, default=str))
    return problem_of_tags(tags or {}) or _too_large(
        "the run configuration", size, RUN_LIMIT, _BY_NAME
    )


def problem_of_tags(tags: Mapping[str, str]) -> str | None:
    """Why the tags cannot be stored, for the first that is to blame; None when they can."""
    for key, value in tags.items():
        name = f'tag "{key[:100]}"'
        text = f"{key}{value}"
        # What Python takes for text and UTF-8, or Postgres, does not.
        bad = next((each for each in text if each == "\0" or "\ud800" <= each <= "\udfff"), None)
        if bad is not None:
            return f"{name} contains {bad!a}, which the database cannot hold. Fix: remove it."
        large = _too_large(f"{name} with its value", len(text.encode()), TAG_LIMIT, _SHORTER)
        if large is not None:
            return large
    # Of these the run's row has copies: two in one index, and one in a column of 255 characters.
    partition = tags.get(PARTITION_SET_TAG, "") + tags.get(PARTITION_NAME_TAG, "")
    return _too_large(
        f'the pair of tags "{PARTITION_SET_TAG}" and "{PARTITION_NAME_TAG}"',
        *(len(partition.encode()), TAG_LIMIT, _SHORTER),
    ) or _too_large(
        f'the value of tag "{BACKFILL_ID_TAG}"',
        *(len(tags.get(BACKFILL_ID_TAG, "").encode()), 255, "leave it out; Dagster sets it."),
    )


def _too_large(what: str, size: int, limit: int, fix: str) -> str | None:
    if size <= limit:
        return None
    return f"{what} is {size} bytes; the limit is {limit} bytes. Fix: {fix}"


@contextmanager
def _one_transaction(storage: Any) -> Iterator[None]:
    """What the storage does within is committed together, or not at all."""
    with internals.connect(storage) as connection:
        # Its own connections commit each statement.
        connection = connection.execution_options(isolation_level="READ COMMITTED")
        with connection.begin():
            token = _transaction.set((storage, connection))
            try:
                yield
            finally:
                _transaction.reset(token)


@contextmanager
def _connect(self: Any) -> Iterator[Any]:
    open_one = _transaction.get()
    if open_one is not None and open_one[0] is self:
        yield open_one[1]
    else:
        with internals.connect(self) as connection:
            yield connection

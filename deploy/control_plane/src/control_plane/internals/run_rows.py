"""What is needed to read runs around rows that cannot be read, in daemon and webserver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compose_run_launcher.private_names import Hook, needed_by

with needed_by("reading around unreadable runs"):
    from dagster._core.remote_origin import (
        RegisteredCodeLocationOrigin as RegisteredCodeLocationOrigin,
    )
    from dagster._core.remote_origin import RemoteJobOrigin as RemoteJobOrigin
    from dagster._core.remote_origin import RemoteRepositoryOrigin as RemoteRepositoryOrigin
    from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
    from dagster._core.storage.tags import MAX_RETRIES_TAG as MAX_RETRIES_TAG

# All reads of runs go through the first, on rows of queries that the second and third make.
ROW_TO_RUN, RUNS_QUERY, RUN_BY_ID = HOOKS = (
    Hook(SqlRunStorage, "_row_to_run", ("self", "row"), "going on after an unreadable run"),
    Hook(
        SqlRunStorage,
        "_runs_query",
        (
            *("self", "filters", "cursor", "limit", "columns", "order_by", "ascending"),
            "bucket_by",
        ),
        "going on after an unreadable run",
    ),
    Hook(SqlRunStorage, "_get_run_by_id", ("self", "run_id"), "going on after an unreadable run"),
)
row_to_run, runs_query = (hook.original() for hook in (ROW_TO_RUN, RUNS_QUERY))


def check_hooks() -> None:
    """Raise Incompatible for the first hook that is not what we rely on."""
    for hook in HOOKS:
        hook.original()


def read_runs_by(
    read: Callable[..., Any], query: Callable[..., Any], by_id: Callable[..., Any]
) -> None:
    """Have every run storage of this process read rows so. Raises Incompatible."""
    for hook, replacement in zip(HOOKS, (read, query, by_id), strict=True):
        hook.replace(replacement)


check_hooks()

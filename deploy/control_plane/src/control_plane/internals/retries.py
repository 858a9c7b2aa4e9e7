"""Where Dagster's daemon decides whether a failed run is tried again, and does so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compose_run_launcher.private_names import Hook, needed_by
from sqlalchemy.exc import DBAPIError

with needed_by("retrying lost runs"):
    from dagster._core.errors import (
        DagsterCodeLocationLoadError,
        DagsterCodeLocationNotFoundError,
        DagsterUserCodeUnreachableError,
    )
    from dagster._core.events import RunFailureReason as RunFailureReason
    from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG as AUTO_RETRY_RUN_ID_TAG
    from dagster._core.storage.tags import MAX_RETRIES_TAG as MAX_RETRIES_TAG
    from dagster._core.storage.tags import RETRY_NUMBER_TAG as RETRY_NUMBER_TAG
    from dagster._core.storage.tags import RUN_FAILURE_REASON_TAG as RUN_FAILURE_REASON_TAG
    from dagster._core.storage.tags import WILL_RETRY_TAG as WILL_RETRY_TAG
    from dagster._core.workspace.context import IWorkspaceProcessContext as IWorkspaceProcessContext
    from dagster._daemon.auto_run_reexecution import auto_run_reexecution

# A code location that is being restarted or replaced, and a database that is.
MAY_PASS = (
    DagsterCodeLocationLoadError,
    DagsterCodeLocationNotFoundError,
    DagsterUserCodeUnreachableError,
    DBAPIError,
)
HOOKS = (
    # Called as a run is failed, by the process that fails it, and again by the daemon where that
    # process has not come to it.
    Hook(
        auto_run_reexecution,
        "auto_reexecution_should_retry_run",
        ("instance", "run", "run_failure_reason"),
        "retrying lost runs",
    ),
    # Called by the daemon for each run that has ended.
    Hook(auto_run_reexecution, "should_retry", ("run", "instance"), "retrying lost runs"),
    Hook(
        auto_run_reexecution,
        "retry_run",
        ("failed_run", "workspace_context"),
        "retrying lost runs",
    ),
)
dagsters_rule, should_retry, retry_run = (hook.original() for hook in HOOKS)


def check_hooks() -> None:
    """Raise Incompatible for the first hook that is not what we rely on."""
    for hook in HOOKS:
        hook.original()


def retry_by(*replacements: Callable[..., Any]) -> None:
    """Have Dagster decide and retry by these, in the order of HOOKS. Raises Incompatible."""
    for hook, replacement in zip(HOOKS, replacements, strict=False):
        hook.replace(replacement)


check_hooks()

"""What a run says of itself, and the runs that have not ended."""

from __future__ import annotations

from typing import Any, cast

from dagster import DagsterError, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from control_plane.errors import StackError
from control_plane.internals.runs import DOCKER_IMAGE_TAG, NOT_FINISHED_STATUSES

_PAGE = 1000


def unfinished(location: str = "") -> list[dict[str, str | None]]:
    """A location's runs that wait or run now, or all, newest first: id, job, status, image.

    ``image`` is the one that the run was created with, None when its code server named none.
    """
    with DagsterInstance.get() as instance:
        return [
            {
                "id": run.run_id,
                "job": run.job_name,
                "status": run.status.value,
                "image": image(run),
                "location": location_of(run),
            }
            for run in _all(instance, list(NOT_FINISHED_STATUSES))
            if location_of(run) == location or not location
        ]


def launch(run_id: str) -> None:
    """Hand one run to the run launcher, past the queue.

    Raises StackError when the launcher does not take it.
    """
    with DagsterInstance.get() as instance:
        try:
            # Our launcher asks code servers by itself, and needs no workspace.
            instance.launch_run(run_id, cast(Any, None))
        except DagsterError as error:
            raise StackError(f"run {run_id} could not be launched: {error}") from None


def location_of(run: DagsterRun) -> str | None:
    """The code location that the run is from; None for one that does not say."""
    return run.remote_job_origin.location_name if run.remote_job_origin else None


def image(run: DagsterRun) -> str | None:
    """The image that the run was created with; also for one that waits."""
    origin = run.job_code_origin
    stated = origin.repository_origin.container_image if origin else None
    return run.tags.get(DOCKER_IMAGE_TAG) or stated


def _all(instance: DagsterInstance, statuses: list[DagsterRunStatus]) -> list[DagsterRun]:
    found: list[DagsterRun] = []
    filters = RunsFilter(statuses=statuses)
    while page := instance.get_runs(filters, found[-1].run_id if found else None, _PAGE):
        found.extend(page)
    return found

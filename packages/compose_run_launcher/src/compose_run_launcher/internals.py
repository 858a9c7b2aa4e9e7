"""All that the launcher uses of Dagster's and docker-py's private interfaces.

Seen in dagster 1.13.27, dagster-docker 0.29.27 and docker 7.1. Without one of these names the
process ends at once, with a line that names it. The exception is ``worker.py``: it runs in images
of any age, imports nothing of this package, and lists what it touches itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compose_run_launcher.private_names import Hook, needed_by

with needed_by("the run launcher"):
    # How a run says which code it executes, which is compared with what its location says.
    # Calls of code servers: which image and Python they serve, and where their definitions are.
    from dagster import _check as check
    from dagster._core.code_pointer import CodePointer as CodePointer
    from dagster._core.code_pointer import ModuleCodePointer as ModuleCodePointer
    from dagster._core.errors import (
        DagsterUserCodeUnreachableError as DagsterUserCodeUnreachableError,
    )

    # How a run that was lost or could not be launched is ended, so that Dagster retries it.
    from dagster._core.events import EngineEventData as EngineEventData
    from dagster._core.events import JobFailureData as JobFailureData
    from dagster._core.events import RunFailureReason as RunFailureReason

    # Which of a run's steps have ended, and how.
    from dagster._core.execution.stats import StepEventStatus as StepEventStatus

    # The interface of run launchers, which Dagster documents and keeps in private modules.
    from dagster._core.launcher.base import CheckRunHealthResult as CheckRunHealthResult
    from dagster._core.launcher.base import LaunchRunContext as LaunchRunContext
    from dagster._core.launcher.base import WorkerStatus as WorkerStatus
    from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT as DEFAULT_DAGSTER_ENTRY_POINT
    from dagster._core.origin import RepositoryPythonOrigin as RepositoryPythonOrigin
    from dagster._core.origin import (
        get_python_environment_entry_point as get_python_environment_entry_point,
    )

    # Tags that Dagster itself reads.
    from dagster._core.storage.tags import DOCKER_IMAGE_TAG as DOCKER_IMAGE_TAG
    from dagster._core.storage.tags import MAX_RETRIES_TAG as MAX_RETRIES_TAG

    # Decides whether a failed run is retried where the process that failed it has not come to it.
    from dagster._daemon.auto_run_reexecution.auto_run_reexecution import (
        should_retry as decide_on_retry,
    )
    from dagster._grpc.client import DagsterGrpcClient as DagsterGrpcClient
    from dagster._grpc.types import ExecuteRunArgs as ExecuteRunArgs
    from dagster._grpc.types import ListRepositoriesResponse as ListRepositoriesResponse

    # What is handed to run workers and comes from code servers is text in Dagster's own format.
    from dagster._serdes import deserialize_value as deserialize_value
    from dagster._serdes import serialize_value as serialize_value
    from dagster._serdes.config_class import ConfigurableClassData as ConfigurableClassData
    from dagster_docker import DockerRunLauncher as DockerRunLauncher
    from dagster_docker.docker_run_launcher import (
        DOCKER_CONTAINER_ID_TAG as DOCKER_CONTAINER_ID_TAG,
    )
    from docker import APIClient

__all__ = ["check", "decide_on_retry"]

# Resuming a run comes to us through the first: without it, Dagster would make a container that
# is not a copy of a service, and has neither its limits nor its isolation.
HOOKS = (
    Hook(
        DockerRunLauncher,
        "_launch_container_with_command",
        ("self", "run", "docker_image", "command"),
        "resuming runs in copies of their service",
    ),
    Hook(
        DockerRunLauncher,
        "_get_docker_image",
        ("self", "job_code_origin"),
        "launching runs with their own image",
    ),
    Hook(DockerRunLauncher, "_instance", None, "the run launcher"),
    # update_container() of docker-py knows no NanoCpus.
    Hook(APIClient, "_url", ("self", "pathfmt", "args", "kwargs"), "limiting standby workers"),
    Hook(APIClient, "_post_json", ("self", "url", "data", "kwargs"), "limiting standby workers"),
    Hook(APIClient, "_raise_for_status", ("self", "response"), "limiting standby workers"),
)


def check_hooks() -> None:
    """Raise Incompatible for the first hook that is not what we rely on."""
    for hook in HOOKS:
        hook.original()


def update_container(api: Any, container_id: str, host_config: Mapping[str, Any]) -> None:
    """Change limits of a container that may run."""
    url = api._url("/containers/{0}/update", container_id)
    api._raise_for_status(api._post_json(url, data=dict(host_config)))


check_hooks()

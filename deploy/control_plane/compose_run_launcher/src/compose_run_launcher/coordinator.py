"""The run queue, with the image of each run made permanent before the run waits in it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Self, cast

import docker.errors
import requests.exceptions
from dagster import DagsterRun, Field, StringSource
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster._serdes.config_class import ConfigurableClassData

from compose_run_launcher import images
from compose_run_launcher.engine import Engine

logger = logging.getLogger(__name__)


class ComposeRunCoordinator(QueuedRunCoordinator):
    """Dagster's queue; a run that waits in it cannot lose its image to a new release.

    Configuration: that of QueuedRunCoordinator, and ``project``, the Compose project's name.
    """

    def __init__(
        self, project: str, inst_data: ConfigurableClassData | None = None, **queue: Any
    ) -> None:
        super().__init__(inst_data=inst_data, **queue)
        self._engine = Engine(project)
        self._pinned: set[str] = set()

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """The queue's own settings, and the project."""
        project = Field(StringSource, description="Name of the Compose project, the stack's own.")
        queue = cast("Mapping[str, Any]", super().config_type())
        return {**queue, "project": project}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Built by Dagster from dagster.yaml."""
        return cls(inst_data=inst_data, **config_value)

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Queue the run; its image has a lasting name by then."""
        self._pin(context.dagster_run)
        return super().submit_run(context)

    def dispose(self) -> None:
        """Give the engine's sockets back."""
        self._engine.close()
        super().dispose()

    def _pin(self, run: DagsterRun) -> None:
        origin = run.job_code_origin
        image = origin.repository_origin.container_image if origin else None
        if not image or image in self._pinned or run.remote_job_origin is None:
            return
        location = run.remote_job_origin.location_name
        try:
            images.pin(self._engine, image, location)
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            # The queue takes runs while the engine is away; the launcher tries again.
            logger.warning("image %s of %s could not be pinned: %s", image, location, error)
            return
        self._pinned.add(image)

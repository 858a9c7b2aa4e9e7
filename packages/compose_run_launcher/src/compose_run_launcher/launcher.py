"""ComposeRunLauncher: each run in a container that is a copy of its code location's service."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any, Self

from dagster import DagsterRun, DagsterRunStatus, Field, IntSource, StringSource
from docker.errors import DockerException
from requests.exceptions import RequestException
from tenacity import (
    Retrying,
    before_sleep_log,
    retry_if_exception,
    stop_after_delay,
    wait_exponential,
)

from compose_run_launcher import commands
from compose_run_launcher.belongs import serialized
from compose_run_launcher.cleaner import Cleaner, Grace
from compose_run_launcher.engine import Engine, may_pass
from compose_run_launcher.explanation import LOG_LINES, ended_at
from compose_run_launcher.images import ImageUnavailable, ReleaseWatch
from compose_run_launcher.internals import (
    DOCKER_CONTAINER_ID_TAG,
    CheckRunHealthResult,
    ConfigurableClassData,
    DockerRunLauncher,
    ExecuteRunArgs,
    LaunchRunContext,
    RunFailureReason,
    WorkerStatus,
    serialize_value,
)
from compose_run_launcher.launching import Launches, LaunchRefused, location_of
from compose_run_launcher.limits import BadLimit
from compose_run_launcher.losses import Fault, decide
from compose_run_launcher.run_ends import RunEnds
from compose_run_launcher.run_watch import RunWatch
from compose_run_launcher.standby import StandbyPool
from compose_run_launcher.standby_worker import WorkerMaker
from compose_run_launcher.start_watch import StartWatch
from compose_run_launcher.worker import is_away

logger = logging.getLogger(__name__)

# How long an end may take to be noticed and explained by the watch.
_LEFT_TO_THE_WATCH = timedelta(seconds=30)

# An engine or a database that restarts is back within this time.
_TRIED_FOR_S = 150.0

# What stops a launch for a reason that says all there is to say.
_CLEAR_FAILURES = (
    LaunchRefused,
    BadLimit,
    ImageUnavailable,
    DockerException,
    RequestException,
)


class ComposeRunLauncher(DockerRunLauncher):
    """Launches a run as a copy of the Compose service of the run's code location.

    The image is the one that the run was created with; environment, user, networks, mounts,
    secrets, capabilities and limits are the service's. Nothing is configured here but the
    stack's own name.

    Configuration: ``project``, the Compose project's name; ``keep_succeeded_seconds`` and
    ``keep_failed_seconds``, how long ended containers are kept; ``standby_min_free_percent``,
    the share of the host's memory below which no standby workers are kept.
    """

    def __init__(
        self,
        project: str,
        keep_succeeded_seconds: int = 300,
        keep_failed_seconds: int = 86_400,
        standby_min_free_percent: int = 10,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        super().__init__(inst_data=inst_data)
        self._engine = Engine(project)
        self._grace = Grace(keep_succeeded_seconds, keep_failed_seconds)
        self._standby_min_free_percent = standby_min_free_percent

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """The settings."""
        return {
            "project": Field(StringSource, description="Name of the Compose project."),
            "keep_succeeded_seconds": Field(
                IntSource,
                default_value=300,
                description="How long a container is kept after its run's process succeeded.",
            ),
            "keep_failed_seconds": Field(
                IntSource,
                default_value=86_400,
                description="How long a container is kept after its run's process failed.",
            ),
            "standby_min_free_percent": Field(
                IntSource,
                default_value=10,
                description="Below this share of available memory no standby workers are kept.",
            ),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> Self:
        """Built by Dagster from dagster.yaml."""
        return cls(inst_data=inst_data, **config_value)

    @cached_property
    def _launches(self) -> Launches:
        # Dagster tells a launcher its instance after it has made it.
        return Launches(self._engine, self._instance)

    @cached_property
    def _ends(self) -> RunEnds:
        return RunEnds(self._engine, self._instance)

    @cached_property
    def _run_watch(self) -> RunWatch:
        return RunWatch(self._engine, self._instance, self._ends, self._launch_again)

    def watch(self) -> None:
        """Follow releases and the ends of runs, clean up after them, keep standby workers.

        To be called once, by the process that launches, before it does.
        """
        releases = self._launches.releases
        maker = WorkerMaker(self._engine, self._instance, releases)
        pool = StandbyPool(self._engine, maker, self._standby_min_free_percent)
        self._launches.pool = pool
        pool.start()
        ReleaseWatch(self._engine, releases).start()
        self._run_watch.start()
        StartWatch(
            self._engine,
            self._instance,
            self._launches.is_launching,
            self._run_watch.go_on_with,
            self._take_back,
        ).start()
        Cleaner(self._engine, self._instance, self._grace).start()

    def dispose(self) -> None:
        """Remove workers that wait for this process; give the engine's sockets back."""
        if self._launches.pool is not None:
            self._launches.pool.close()
        self._engine.close()
        super().dispose()

    def launch_run(self, context: LaunchRunContext) -> None:
        """Give the run a worker; a run that cannot get one is failed, and says why."""
        self._try(self._launches.launch, context.dagster_run)

    def _launch_again(self, run: DagsterRun) -> None:
        if not self._ends.is_over(run):
            self._try(self._launches.launch_again, run)

    def _take_back(self, run: DagsterRun) -> None:
        if not self._ends.is_over(run):
            self._try(self._launches.take_back, run)

    def _launch_container_with_command(
        self, run: DagsterRun, docker_image: str, command: Sequence[str]
    ) -> None:
        """The base class's way to a container; left for it is resuming."""
        self._try_until_given_up(self._launches.resume, run, docker_image, command)

    def _try(
        self, launch: Callable[[DagsterRun, str, Sequence[str]], None], run: DagsterRun
    ) -> None:
        self._try_until_given_up(partial(self._launch_as_it_says, launch), run)

    def _launch_as_it_says(
        self, launch: Callable[[DagsterRun, str, Sequence[str]], None], run: DagsterRun
    ) -> None:
        """``launch`` decides whether what the run says of itself may be believed."""
        code = run.job_code_origin
        image = code.repository_origin.container_image if code else None
        if code is None or image is None:
            raise LaunchRefused(f"run {run.run_id} does not say which image it executes.")
        pointers = (serialized(code.get_repo_pointer()),)
        own = commands.Code(location_of(run), code.executable_path, pointers)
        instance = self._instance.get_ref()
        otherwise = ExecuteRunArgs(code, run.run_id, instance).get_command_args()
        command = commands.execute_run(own, serialize_value(instance), run.run_id, otherwise)
        launch(run, image, command)

    def _try_until_given_up(self, launch: Callable[..., None], run: DagsterRun, *how: Any) -> None:
        try:
            # Each try goes on from where the one before has got.
            Retrying(
                retry=retry_if_exception(lambda error: may_pass(error) or is_away(error)),
                stop=stop_after_delay(_TRIED_FOR_S),
                wait=wait_exponential(max=8),
                before_sleep=before_sleep_log(logger, logging.WARNING),
                reraise=True,
            )(launch, run, *how)
        except Exception as error:
            if is_away(error):
                # Nothing can be said of the run now; StartWatch goes on with it.
                raise
            if not isinstance(error, _CLEAR_FAILURES):
                logger.exception("run %s could not be launched", run.run_id)
            # Said in the run's own words; an exception here would show a daemon's traceback.
            self._give_up(run, error)

    def _give_up(self, run: DagsterRun, error: Exception) -> None:
        try:
            self._launches.give_up(run)
        except (DockerException, RequestException) as further:
            # An engine that is away; the cleaner ends what goes on when it is back.
            logger.warning("run %s: %s", run.run_id, further)
        now = self._instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished or now.status == DagsterRunStatus.STARTED:
            return
        whose = Fault.LOST if may_pass(error) else Fault.OWN
        text = f"The run could not be launched: {error}"
        self._ends.end(now, text, whose, RunFailureReason.JOB_INITIALIZATION_FAILURE)

    def terminate(self, run_id: str) -> bool:
        """Have the run's container stopped, with the service's own grace; False without one.

        Nobody waits for its end: a run that is terminated for its timeout is to be a failure
        before its process can report that it was canceled.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        # By a person, or for its timeout: either way on purpose.
        decide(self._instance, run, Fault.OWN)
        self._instance.report_run_canceling(run)
        container = self._container_of(run)
        if container is None:
            self._instance.report_engine_event(
                message="The run has no container to stop.", dagster_run=run, cls=self.__class__
            )
            return False
        threading.Thread(target=self._stop, args=(container["Id"],), daemon=True).start()
        return True

    def _container_of(self, run: DagsterRun) -> dict[str, Any] | None:
        return self._engine.container_of(run.run_id, run.tags.get(DOCKER_CONTAINER_ID_TAG))

    def _stop(self, container_id: str) -> None:
        try:
            self._engine.stop(container_id)
        except (DockerException, RequestException) as error:
            # The cancel timeout ends the run then, and the cleaner its container.
            logger.warning("container %s is not stopped: %s", container_id[:12], error)

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the run's container runs.

        One that has just ended is left to the watch, which explains it. Where the watch does not,
        the run is ended here, as the watch would; Dagster finds it ended then.
        """
        container = self._container_of(run)
        if container is None:
            self._ends.settle(run, None)
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "The run has no container.")
        end = ended_at(container)
        if container["State"]["Running"] or (
            end is not None and datetime.now(UTC) - end < _LEFT_TO_THE_WATCH
        ):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if not self._run_watch.settle(container):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, self._ends.explain(run, container))

    def get_run_worker_debug_info(
        self, run: DagsterRun, include_container_logs: bool | None = True
    ) -> str | None:
        """What Dagster appends when a run does not start or does not end in time.

        It asks when it is about to declare the run dead, and only then; so nothing may go on
        executing the run afterwards: its container is ended here.
        """
        container = self._container_of(run)
        if container is None:
            return "The run has no container."
        if not container["State"]["Running"]:
            return self._ends.explain(run, container)
        log = self._engine.log(container["Id"], LOG_LINES) if include_container_logs else ""
        self._ends.declared_dead(run, container)
        return f"Its container {container['Id'][:12]} was ended. Last lines of its log:\n{log}"

"""How a run ends that nothing executes any more: once, and as its log says."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus

from compose_run_launcher.engine import Engine
from compose_run_launcher.explanation import LOG_LINES, explain, fault
from compose_run_launcher.internals import (
    MAX_RETRIES_TAG,
    EngineEventData,
    JobFailureData,
    RunFailureReason,
    StepEventStatus,
    decide_on_retry,
)
from compose_run_launcher.losses import Fault, decide

# States in which a run needs a living container.
IN_CONTAINER = (
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
)
_FINAL = {
    DagsterEventType.RUN_SUCCESS,
    DagsterEventType.RUN_FAILURE,
    DagsterEventType.RUN_CANCELED,
}
_WELL = {StepEventStatus.SUCCESS, StepEventStatus.SKIPPED}
_NO_CONTAINER = "The run's container was removed. Launch the run again, if it is not retried."
_ALL_STEPS = (
    "The run's container ended after the last step had succeeded, and before it could say so: the"
    " run has succeeded. Hooks and the release of resources may not have been executed."
)
# What Dagster's monitoring is ending it has ended by then.
_LEFT_TO_MONITORING_S = 30.0

logger = logging.getLogger(__name__)


class RunEnds:
    """Ends runs whose containers have ended."""

    def __init__(self, engine: Engine, instance: DagsterInstance) -> None:
        self._engine = engine
        self._instance = instance
        # Runs that Dagster's monitoring is about to end, and since when (monotonic time).
        self._declared_dead: dict[str, float] = {}

    def settle(self, run: DagsterRun, container: Mapping[str, Any] | None) -> None:
        """End a run that is still said to be executed, by its ended container or for lack of one.

        Whoever calls knows that nothing executes the run.
        """
        since = self._declared_dead.pop(run.run_id, None)
        if since is not None and time.monotonic() - since < _LEFT_TO_MONITORING_S:
            return
        now = self._instance.get_run_by_id(run.run_id)
        if now is None or now.status not in IN_CONTAINER or self._as_its_log_says(now):
            return
        run = now
        if run.status != DagsterRunStatus.CANCELING and self._all_steps_succeeded(run):
            logger.warning("run %s: %s", run.run_id, _ALL_STEPS)
            succeeded = DagsterEvent(
                DagsterEventType.RUN_SUCCESS.value, run.job_name, message=_ALL_STEPS
            )
            self._instance.report_dagster_event(succeeded, run_id=run.run_id)
            return
        whose = Fault.LOST if container is None else fault(container)
        text = _NO_CONTAINER if container is None else self.explain(run, container)
        self.end(run, text, whose, RunFailureReason.UNEXPECTED_TERMINATION)

    def end(self, run: DagsterRun, text: str, whose: Fault, reason: RunFailureReason) -> None:
        """End a run that is over: canceled where that was wanted, else failed."""
        logger.warning("run %s: %s", run.run_id, text.splitlines()[0])
        if run.status == DagsterRunStatus.CANCELING:
            self._instance.report_engine_event(text, run, EngineEventData())
            self._instance.report_run_canceled(run)
            return
        decision = decide(self._instance, run, whose)
        if run.tags.get(MAX_RETRIES_TAG) != "0":
            text = f"{text}\n{decision.describe()}".rstrip()
        failure = JobFailureData(error=None, failure_reason=reason)
        self._instance.report_run_failed(run, text, failure)

    def explain(self, run: DagsterRun, container: Mapping[str, Any]) -> str:
        """Why an inspected container ended, with the end of its log."""
        log = self._engine.log(container["Id"], LOG_LINES)
        return explain(container, log, terminated=run.status == DagsterRunStatus.CANCELING)

    def declared_dead(self, run: DagsterRun, container: Mapping[str, Any]) -> None:
        """Stop what executes a run that Dagster's monitoring is about to end, and leave it that."""
        self._declared_dead[run.run_id] = time.monotonic()
        self._engine.end(container["Id"])

    def _as_its_log_says(self, run: DagsterRun) -> bool:
        """Whether its log holds an end, which is stored before the run's state is."""
        found = self._instance.all_logs(run.run_id, of_type=_FINAL)
        event = found[0].dagster_event if found else None
        if event is None:
            return False
        logger.warning("run %s: its log says %s", run.run_id, event.event_type_value)
        at = datetime.fromtimestamp(found[0].timestamp, UTC)
        self._instance.handle_run_event(run.run_id, event, at)
        now = self._instance.get_run_by_id(run.run_id)
        if now is not None:
            decide_on_retry(now, self._instance)
        return True

    def _all_steps_succeeded(self, run: DagsterRun) -> bool:
        if run.execution_plan_snapshot_id is None:
            return False
        plan = self._instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
        steps = set(run.step_keys_to_execute or plan.step_keys_to_execute)
        # How many copies of a dynamic step there are is known to the worker alone.
        if any("[?]" in step for step in steps):
            return False
        stats = self._instance.get_run_step_stats(run.run_id)
        return bool(steps) and steps <= {one.step_key for one in stats if one.status in _WELL}

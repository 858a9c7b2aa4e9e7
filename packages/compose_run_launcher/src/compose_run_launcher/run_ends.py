"""How a run ends that nothing executes any more: once, and as its log says."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus
from sqlalchemy.exc import DBAPIError

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
from compose_run_launcher.worker import is_away

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

logger = logging.getLogger(__name__)


class RunEnds:
    """Ends runs whose containers have ended."""

    def __init__(self, engine: Engine, instance: DagsterInstance) -> None:
        self._engine = engine
        self._instance = instance
        # Ids of runs that Dagster's monitoring ends; it comes again until it has done so.
        self._declared_dead: set[str] = set()

    def settle(self, run: DagsterRun, container: Mapping[str, Any] | None) -> None:
        """End a run that is still said to be executed, by its ended container or for lack of one.

        Whoever calls knows that nothing executes the run.
        """
        now = self._instance.get_run_by_id(run.run_id)
        if now is None or now.status not in IN_CONTAINER or self.is_over(now):
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

    def is_over(self, run: DagsterRun) -> bool:
        """Whether nothing may go on with a run that is said to be executed.

        An end in its log is one, and is made its state; or monitoring is about to end it.
        """
        return run.run_id in self._declared_dead or end_as_its_log_says(self._instance, run)

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
        self._declared_dead.add(run.run_id)
        self._engine.end(container["Id"])

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


def end_as_its_log_says(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Whether its log holds an end, which is stored before the run's state is; that it is then."""
    found = _end_of(instance, run)
    if found is None:
        return False
    event, at = found
    logger.warning("run %s: its log says %s", run.run_id, event.event_type_value)
    instance.handle_run_event(run.run_id, event, at)
    now = instance.get_run_by_id(run.run_id)
    if now is not None:
        decide_on_retry(now, instance)
    return True


def _end_of(instance: DagsterInstance, run: DagsterRun) -> tuple[DagsterEvent, datetime] | None:
    """The final event in the run's log, and when it was."""
    try:
        found = instance.all_logs(run.run_id, of_type=_FINAL)
        event = found[0].dagster_event if found else None
        return (event, datetime.fromtimestamp(found[0].timestamp, UTC)) if event else None
    except Exception as error:
        if isinstance(error, DBAPIError) or is_away(error):
            raise
        # A location's code wrote it. Its run must not look alive for ever, nor come again.
        logger.error("run %s: the end in its log cannot be read: %s", run.run_id, error)
        decide(instance, run, Fault.OWN)
        return DagsterEvent(DagsterEventType.RUN_FAILURE.value, run.job_name), datetime.now(UTC)

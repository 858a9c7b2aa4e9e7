"""Failed runs that are tried again: lost ones until they come through, others as Dagster says.

Dagster's daemon tries once, in the moment in which it reads that a run has failed; when the code
location does not answer then, the retry is lost. Here a thread retries what is due until there is
a retry.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from compose_run_launcher.losses import Decision, Fault, decide
from compose_run_launcher.threads import Endless
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from control_plane.internals.retries import (
    AUTO_RETRY_RUN_ID_TAG,
    MAX_RETRIES_TAG,
    MAY_PASS,
    RETRY_NUMBER_TAG,
    RUN_FAILURE_REASON_TAG,
    WILL_RETRY_TAG,
    IWorkspaceProcessContext,
    RunFailureReason,
    dagsters_rule,
    retry_by,
    retry_run,
    should_retry,
)

_LOOK_S = 10.0
# A code location that does not come back for so long will not be what it was.
_WAITED_FOR = timedelta(days=2)

logger = logging.getLogger(__name__)


def comes_again(
    instance: DagsterInstance, run: DagsterRun, run_failure_reason: RunFailureReason | None
) -> bool:
    """Whether a run that was failed is tried again.

    A run that says in ``dagster/max_retries`` how often it may be retried is asked first.
    """
    decision = Decision.of(run)
    asked = run.tags.get(MAX_RETRIES_TAG)
    if decision is None or run.status != DagsterRunStatus.FAILURE:
        return bool(dagsters_rule(instance, run, run_failure_reason))
    if decision.fault is Fault.OWN:
        return asked is not None and bool(dagsters_rule(instance, run, run_failure_reason))
    return asked != "0" and decision.comes_through


def is_to_be_retried(run: DagsterRun, instance: DagsterInstance) -> bool:
    """The same of a run that has ended, which the daemon asks about each.

    A worker that is told to end by others (its host shuts down) fails its run itself, and decides
    by Dagster's rule alone; so that is decided again here.
    """
    ended = RunFailureReason.UNEXPECTED_TERMINATION.value
    interrupted = run.tags.get(RUN_FAILURE_REASON_TAG) == ended
    if interrupted and run.status == DagsterRunStatus.FAILURE and Decision.of(run) is None:
        decide(instance, run, Fault.LOST)
        run = instance.get_run_by_id(run.run_id) or run
        tags = {WILL_RETRY_TAG: str(comes_again(instance, run, None)).lower()}
        instance.add_run_tags(run.run_id, tags)
        run = instance.get_run_by_id(run.run_id) or run
    return bool(should_retry(run, instance))


def decide_by_fault() -> None:
    """Have this process decide on retries so. Raises Incompatible."""
    retry_by(comes_again, is_to_be_retried)


class Retries(Endless):
    """Retries each run that is to be retried when it is due, until there is a retry.

    ``workspace`` gives the daemon's workspace, by which code locations are reached.
    """

    def __init__(
        self, instance: DagsterInstance, workspace: Callable[[], IWorkspaceProcessContext[Any]]
    ) -> None:
        super().__init__("retries")
        self._instance = instance
        self._workspace = workspace
        self._woken = threading.Event()
        # Runs that say in their own row that they are to be retried, and perhaps nowhere else: what
        # wrote that was cut off before the tag's row, by which a look finds them (run_writes.py).
        # All that an earlier daemon left are among them.
        self._unlisted: set[str] = set()
        self._knows_earlier = False
        # Why a run's retry could not be made, as it was said last.
        self._said: dict[str, str] = {}

    def wake(self, failed_run: DagsterRun, workspace_context: object) -> None:
        """In the place of Dagster's own retry: a run has failed and may be due now."""
        self._unlisted.add(failed_run.run_id)
        self._woken.set()

    def follow(self) -> None:
        """One look, and a pause."""
        # What fails after this look has begun is looked at by the next one.
        self._woken.clear()
        self._woken.wait(self.look())

    def look(self) -> float:
        """Retry what is due; seconds until the next is, at most _LOOK_S."""
        self._submit_what_was_made()
        since = datetime.now(UTC) - _WAITED_FOR
        self._list(since)
        wanted = RunsFilter(
            statuses=[DagsterRunStatus.FAILURE],
            tags={WILL_RETRY_TAG: "true"},
            updated_after=since,
        )
        pause = _LOOK_S
        waiting: set[str] = set()
        # The oldest first, as they were launched.
        for run in reversed(self._instance.get_runs(wanted)):
            if AUTO_RETRY_RUN_ID_TAG in run.tags:
                continue
            decision = Decision.of(run)
            wait = decision.due - time.time() if decision else 0.0
            if wait > 0:
                pause = min(pause, wait)
                waiting.add(run.run_id)
            elif is_to_be_retried(run, self._instance) and not self._retry(run):
                waiting.add(run.run_id)
        self._said = {id: said for id, said in self._said.items() if id in waiting}
        return pause

    def _list(self, since: datetime) -> None:
        """Have the tag's row written where it may be missing."""
        if not self._knows_earlier:
            failed = RunsFilter(statuses=[DagsterRunStatus.FAILURE], updated_after=since)
            for run in self._instance.get_runs(failed):
                if run.tags.get(WILL_RETRY_TAG) == "true" and AUTO_RETRY_RUN_ID_TAG not in run.tags:
                    self._unlisted.add(run.run_id)
            self._knows_earlier = True
        for run_id in list(self._unlisted):
            if self._instance.has_run(run_id):
                self._instance.add_run_tags(run_id, {WILL_RETRY_TAG: "true"})
            self._unlisted.discard(run_id)

    def _submit_what_was_made(self) -> None:
        """Retries that an earlier daemon had made and not submitted."""
        for run in self._instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.NOT_STARTED])):
            if run.parent_run_id and RETRY_NUMBER_TAG in run.tags:
                parent = self._instance.get_run_by_id(run.parent_run_id)
                if parent is not None:
                    self._retry(parent)

    def _retry(self, run: DagsterRun) -> bool:
        """Whether the run has a retry now, or will have none."""
        try:
            retry_run(run, self._workspace())
        except MAY_PASS as error:
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            if self._said.get(run.run_id) != why:
                logger.warning("run %s is not retried yet: %s", run.run_id, why)
                text = f"The run cannot be retried yet, and will be tried again: {why}"
                self._instance.report_engine_event(text, run)
                self._said[run.run_id] = why
            return False
        except Exception as error:  # Of whatever kind: it must not keep the others.
            logger.exception("run %s cannot be retried", run.run_id)
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            self._instance.report_engine_event(f"The run cannot be retried: {why}", run)
        now = self._instance.get_run_by_id(run.run_id)
        if now is not None and AUTO_RETRY_RUN_ID_TAG not in now.tags:
            # Why is said in the run's events.
            self._instance.add_run_tags(run.run_id, {WILL_RETRY_TAG: "false"})
        return True

    def take_over(self) -> None:
        """Have the daemon leave retries to this thread, and begin. Raises Incompatible."""
        retry_by(comes_again, is_to_be_retried, self.wake)
        self.start()

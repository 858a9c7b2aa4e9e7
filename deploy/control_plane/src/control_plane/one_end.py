"""A run ends once, whoever ends it: monitoring, the launcher's watches, a person, its own worker.

Each of them reads the run, then stores a final event, then changes the run's state; another may
have ended it meanwhile. An index in the database refuses a second final event
(deploy/postgres/dagster/3_events.sql). Here the refusal is said, and nothing follows from it but
what the first end left undone. Of run workers, compose_run_launcher/worker.py does the same.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from compose_run_launcher.run_ends import end_as_its_log_says
from compose_run_launcher.worker import is_second_end
from dagster import DagsterInstance, EventLogEntry
from sqlalchemy.exc import IntegrityError

from control_plane.internals import run_writes as internals

# Whoever stores an end writes the state next, unless it is killed. Two that write it at the same
# time would write its tags twice.
_STATE_FOLLOWS_WITHIN_S = 5.0
_PAUSE_S = 0.2

logger = logging.getLogger(__name__)


def end_runs_once() -> None:
    """Let this process take a run's first end for its only one. Raises Incompatible."""
    internals.NEW_EVENT.replace(_handle_new_event)


def _handle_new_event(
    self: DagsterInstance, event: EventLogEntry, *, batch_metadata: Any = None
) -> None:
    try:
        internals.handle_new_event(self, event, batch_metadata=batch_metadata)
    except IntegrityError as error:
        if not is_second_end(error):
            raise
        end = event.get_dagster_event()
        said = (end.message or "").partition("\n")[0]
        kind = end.event_type_value
        logger.warning("run %s has ended before: %s is not recorded: %s", event.run_id, kind, said)
        _finish(self, event.run_id)


def _finish(instance: DagsterInstance, run_id: str) -> None:
    """Give a run the state of the end in its log."""
    deadline = time.monotonic() + _STATE_FOLLOWS_WITHIN_S
    while (run := instance.get_run_by_id(run_id)) is not None and not run.is_finished:
        if time.monotonic() > deadline:
            end_as_its_log_says(instance, run)
            return
        time.sleep(_PAUSE_S)

"""Ends sessions of code locations that hinder others in Dagster's database.

A location's role can hold a transaction open, or lock rows and a few tables that runs must be able
to delete from; it can lift any timeout that is set for it. So the control plane looks, once a
second, and ends such a session: deploy/postgres/dagster/6_sessions.sql says when.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from dagster import DagsterInstance
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

_LOOK_S = 1.0
_END = text("SELECT role, pid, client, reason, statement FROM control.end_hindering_sessions()")
logger = logging.getLogger(__name__)


class SessionLimits:
    """A thread that looks for such sessions as long as the process lives."""

    def __init__(self, instance: DagsterInstance) -> None:
        self._storage: Any = instance.run_storage
        self._thread = threading.Thread(target=self._look_for_ever, name="session-limits")
        self._thread.daemon = True
        self._stop = threading.Event()
        self._failing = False

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stop.set()
        self._thread.join()

    def _look_for_ever(self) -> None:
        while not self._stop.wait(_LOOK_S):
            try:
                self.look()
                self._failing = False
            except SQLAlchemyError as error:
                # Once per outage: the database may be away for a while, and is said elsewhere.
                if not self._failing:
                    logger.warning("sessions of code locations cannot be watched: %s", error)
                self._failing = True

    def look(self) -> int:
        """End what hinders others now, with a line in the log for each; how many."""
        with self._storage.connect() as connection:
            ended = connection.execute(_END).fetchall()
        for role, pid, client, reason, statement in ended:
            logger.warning(
                "ended a session of code location %s (pid %s, from %s): %s. Last statement: %s",
                *(role, pid, client, reason, statement),
            )
        return len(ended)

"""What Dagster's database says of runs, ticks, heartbeats and sessions."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Sequence
from typing import Any

from scale_stack import ScaleStack

_RUNS = """
SELECT extract(epoch FROM min(timestamp) FILTER (WHERE dagster_event_type = 'PIPELINE_ENQUEUED')),
       extract(epoch FROM min(timestamp) FILTER (WHERE dagster_event_type = 'PIPELINE_STARTING')),
       extract(epoch FROM min(timestamp) FILTER (WHERE dagster_event_type = 'PIPELINE_START')),
       extract(epoch FROM min(timestamp) FILTER (WHERE dagster_event_type = 'STEP_START')),
       extract(epoch FROM max(timestamp) FILTER (WHERE dagster_event_type = 'PIPELINE_SUCCESS')),
       count(*), sum(pg_column_size(event_logs.*))
FROM event_logs WHERE run_id IN ({ids}) GROUP BY run_id"""
_UNFINISHED = "SELECT count(*) FROM runs WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')"
_TICKS = """
SELECT extract(epoch FROM create_timestamp - timestamp)
FROM job_ticks WHERE type = 'SCHEDULE'"""
_NOW = """
SELECT (SELECT max(extract(epoch FROM now() AT TIME ZONE 'UTC' - timestamp))
        FROM daemon_heartbeats),
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
       (SELECT count(*) FROM pg_stat_activity WHERE usename = 'dagster')"""
_SIZE = "SELECT pg_database_size('dagster')"


def runs(stack: ScaleStack, ids: Sequence[str]) -> dict[str, float]:
    """Seconds in the queue, of the launch, to the first step; events and bytes of a run."""
    listed = ", ".join(f"'{run}'" for run in ids)
    rows = stack.sql(_RUNS.format(ids=listed), "dagster")
    ended = [[float(value) for value in row] for row in rows if all(row)]
    found: dict[str, float] = {"runs": len(ids), "succeeded": len(ended)}
    if not ended:
        return found
    enqueued, starting, started, stepped, done, events, size = zip(*ended, strict=True)
    for what, since, until in (
        ("queue_wait_s", enqueued, starting),
        ("launch_s", starting, started),
        ("first_step_s", enqueued, stepped),
    ):
        taken = [after - before for before, after in zip(since, until, strict=True)]
        found |= {f"{what}_median": statistics.median(taken), f"{what}_p95": p95(taken)}
    seconds = max(done) - min(enqueued)
    return found | {
        "runs_per_minute": 60 * len(ended) / seconds,
        "events_per_run": statistics.mean(events),
        "event_bytes_per_run": statistics.mean(size),
    }


def p95(values: Sequence[float]) -> float:
    """The value that 95 % do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-95 * len(ordered) // 100) - 1)]


def unfinished(stack: ScaleStack) -> int:
    """How many runs have not ended."""
    return int(stack.sql(_UNFINISHED, "dagster")[0][0])


def ticks(stack: ScaleStack) -> dict[str, float]:
    """How many there were, and how late, in seconds after the minute."""
    late = [float(row[0]) for row in stack.sql(_TICKS, "dagster") if row[0]]
    if not late:
        return {"ticks": 0}
    return {
        "ticks": len(late),
        "tick_lateness_s_median": statistics.median(late),
        "tick_lateness_s_p95": p95(late),
    }


def size(stack: ScaleStack) -> int:
    """Bytes of Dagster's database on disk, indexes included."""
    return int(stack.sql(_SIZE, "dagster")[0][0])


class Highest:
    """Looks every few seconds; keeps the highest age of a heartbeat and numbers of sessions."""

    def __init__(self, stack: ScaleStack, every_s: float = 5.0) -> None:
        self._stack = stack
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.found: dict[str, float] = {}

    def __enter__(self) -> Highest:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        names = ("heartbeat_age_s", "connections", "connections_of_the_control_plane")
        while True:
            row = self._stack.sql(_NOW, "dagster")[0]
            for name, value in zip(names, row, strict=True):
                self.found[name] = max(self.found.get(name, 0.0), float(value or 0))
            if self._ended.wait(self._every_s):
                return

"""Removes what goes, in small transactions with pauses, beside a stack that works."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from control_plane.retention.rules import Rules
from control_plane.retention.selection import (
    FOLLOWED,
    GOING_EVENTS,
    NEEDED,
    PARAMETERS,
    select,
)

RUNS_AT_ONCE = 50
EVENTS_AT_ONCE = 2000
# A pause of this share of what the transaction before it took: others have the disk meanwhile.
PAUSE = 1.0
TABLES = ("event_logs", "runs", "run_tags", "asset_check_executions", "bulk_actions", "job_ticks")
# Lists of what was removed are for the locations, which remove its files within the hour.
_LISTED_DAYS = 90

_TAKE = f"""
SELECT going.run_id, going.keyed FROM going JOIN runs ON runs.id = going.id
WHERE going.id = ANY (%(ids)s) AND runs.status = ANY (%(ended)s) AND NOT ({NEEDED})
    AND NOT {FOLLOWED}
FOR UPDATE OF runs SKIP LOCKED
"""  # constants
_EVENTS = f"DELETE FROM event_logs WHERE id IN ({GOING_EVENTS} LIMIT %(most)s)"
# A check that was planned and came to nothing; results stay, as events of assets do.
_CHECKS = """
DELETE FROM asset_check_executions WHERE run_id = ANY (%(batch)s) AND execution_status = 'PLANNED'
"""
_LOGS_REMOVED = """
INSERT INTO control.removed_run (run_id, location)
SELECT run_id, location FROM control.run_owner WHERE run_id = ANY (%(batch)s)
ON CONFLICT DO NOTHING
"""
# Of those, Dagster reads the latest of an asset.
FRESHNESS = """
SELECT id FROM event_logs AS old
WHERE dagster_event_type = 'FRESHNESS_STATE_CHANGE' AND asset_key IS NOT NULL
    AND timestamp < now() AT TIME ZONE 'UTC' - make_interval(days => %(days)s)
    AND EXISTS (SELECT FROM event_logs AS later WHERE later.asset_key = old.asset_key
        AND later.dagster_event_type = old.dagster_event_type AND later.id > old.id)
"""
BACKFILLS = """
SELECT id FROM bulk_actions WHERE status = ANY (%(backfill_ended)s)
    AND timestamp < now() AT TIME ZONE 'UTC' - make_interval(days => %(days)s)
    AND NOT EXISTS (SELECT FROM runs WHERE runs.backfill_id = bulk_actions.key)
"""
# Of schedules and sensors that Dagster no longer knows; of the others it removes ticks itself.
TICKS = """
SELECT id FROM job_ticks
WHERE timestamp < now() AT TIME ZONE 'UTC' - make_interval(days => %(days)s)
    AND NOT EXISTS (
        SELECT FROM instigators WHERE instigators.selector_id = job_ticks.selector_id)
"""
OTHERS = {
    "freshness states": ("event_logs", FRESHNESS),
    "backfills": ("bulk_actions", BACKFILLS),
    "ticks of removed schedules and sensors": ("job_ticks", TICKS),
}


@dataclass
class Removed:
    """How much went."""

    runs: int = 0
    logs: int = 0
    """Of runs whose row stays."""
    events: int = 0
    other: int = 0


def remove(
    connection: Any, rules: Rules, report: Callable[[Removed, int], None], pause: float = PAUSE
) -> Removed:
    """Remove what goes by the rules; ``report`` gets what went so far and how many runs are to go.

    Each batch is checked again in the transaction that removes it. What another session has locked
    is left for the next time.
    """
    done = Removed()
    with connection, connection.cursor() as cursor:
        select(cursor, rules)
        # Newest first: a re-execution goes before the run that it repeats.
        cursor.execute("SELECT id FROM going ORDER BY id DESC")
        waiting = [number for (number,) in cursor.fetchall()]
    total = len(waiting)
    while waiting:
        left: list[int] = []
        for batch in _batches(waiting):
            left += _remove_runs(connection, batch, done, pause)
            report(done, total)
        if len(left) == len(waiting):
            break
        waiting = left
    if rules.days:
        for table, old in OTHERS.values():
            _remove_rows(connection, table, old, rules.days, done, pause)
            report(done, total)
    with connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE going")
        cursor.execute(
            "DELETE FROM control.removed_run WHERE removed_at < now() - make_interval(days => %s)",
            (_LISTED_DAYS,),
        )
    return done


def _batches(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for begin in range(0, len(numbers), RUNS_AT_ONCE):
        yield numbers[begin : begin + RUNS_AT_ONCE]


def _remove_runs(connection: Any, ids: Sequence[int], done: Removed, pause: float) -> list[int]:
    """Remove these runs, or the logs of those whose row stays; gives the ids that were left."""
    while True:
        began = time.monotonic()
        with connection, connection.cursor() as cursor:
            cursor.execute(_TAKE, PARAMETERS | {"ids": list(ids)})
            taken = cursor.fetchall()
            values = PARAMETERS | {"batch": [run_id for run_id, _ in taken], "most": EVENTS_AT_ONCE}
            cursor.execute(_EVENTS, values)
            events = cursor.rowcount
            done.events += events
            if events < EVENTS_AT_ONCE:
                gone = _remove_rows_of_runs(cursor, taken, done)
                cursor.execute("DELETE FROM going WHERE id = ANY (%s) RETURNING id", (gone,))
                handled = {number for (number,) in cursor.fetchall()}
        time.sleep((time.monotonic() - began) * pause)
        if events < EVENTS_AT_ONCE:
            return [number for number in ids if number not in handled]


def _remove_rows_of_runs(
    cursor: Any, taken: Sequence[tuple[str, bool]], done: Removed
) -> list[int]:
    """The ids, in ``going``, of the runs that are done with."""
    kept = [run_id for run_id, keyed in taken if keyed]
    whole = [run_id for run_id, keyed in taken if not keyed]
    cursor.execute(_CHECKS, {"batch": whole})
    cursor.execute(_LOGS_REMOVED, {"batch": kept})
    cursor.execute("DELETE FROM runs WHERE run_id = ANY (%s)", (whole,))
    done.runs += len(whole)
    done.logs += len(kept)
    cursor.execute("SELECT id FROM going WHERE run_id = ANY (%s)", (kept + whole,))
    return [number for (number,) in cursor.fetchall()]


def _remove_rows(
    connection: Any, table: str, old: str, days: int, done: Removed, pause: float
) -> None:
    statement = f"DELETE FROM {table} WHERE id IN ({old} LIMIT {EVENTS_AT_ONCE})"
    if table == "bulk_actions":
        statement = (
            f"WITH gone AS ({statement} RETURNING key), tags AS ("  # constants
            "DELETE FROM backfill_tags USING gone WHERE backfill_id = gone.key)"
            " SELECT key FROM gone"
        )
    while True:
        began = time.monotonic()
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, PARAMETERS | {"days": days})
            rows = cursor.rowcount
        done.other += rows
        time.sleep((time.monotonic() - began) * pause)
        if rows < EVENTS_AT_ONCE:
            return


def vacuum(connection: Any, full: bool = False) -> dict[str, tuple[int, int]]:
    """Make the space of removed rows usable; each table's bytes before and after, with indexes.

    ``full`` rewrites the tables, which gives the disk back to the operating system, and locks
    each for as long as that takes. It gives up where somebody else keeps the lock for 5 seconds.
    """
    connection.autocommit = True
    sizes = {}
    try:
        with connection.cursor() as cursor:
            # Beside others, it pauses as the automatic one does.
            cursor.execute("SET vacuum_cost_delay = '2ms'")
            cursor.execute("SET lock_timeout = '5s'")
            for table in TABLES:
                cursor.execute("SELECT pg_total_relation_size(%s)", (table,))
                (before,) = cursor.fetchone()
                cursor.execute(f"VACUUM ({'FULL, ' if full else ''}ANALYZE) {table}")
                cursor.execute("SELECT pg_total_relation_size(%s)", (table,))
                sizes[table] = (before, cursor.fetchone()[0])
    finally:
        connection.autocommit = False
    return sizes

"""What would go, by code location and kind, and how much space that is. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from control_plane.retention.removal import OTHERS
from control_plane.retention.rules import Rules
from control_plane.retention.selection import GOING_EVENTS, PARAMETERS, select

# As they are stored, compressed; without what indexes and page ends add.
_SIZES = f"""
WITH gone AS MATERIALIZED (
    SELECT event_logs.run_id, pg_column_size(event_logs.event) AS size FROM event_logs
    WHERE id IN ({GOING_EVENTS})
), events AS (
    SELECT run_id, count(*) AS number, sum(size) AS size FROM gone GROUP BY run_id
)
SELECT going.location, count(*) FILTER (WHERE NOT keyed), count(*) FILTER (WHERE keyed),
    coalesce(sum(events.number), 0), coalesce(sum(events.size), 0),
    coalesce(sum(pg_column_size(runs.run_body)) FILTER (WHERE NOT keyed), 0)
FROM going JOIN runs ON runs.id = going.id LEFT JOIN events ON events.run_id = going.run_id
GROUP BY going.location ORDER BY going.location
"""  # constants
_ALL = """
SELECT coalesce(owner.location, ''), count(*) FROM runs
LEFT JOIN control.run_owner AS owner USING (run_id) GROUP BY 1
"""
_WRONG_TAGS = """
SELECT DISTINCT coalesce(owner.location, ''), runs.pipeline_name, tag.key, left(tag.value, 40)
FROM run_tags AS tag JOIN runs USING (run_id) LEFT JOIN control.run_owner AS owner USING (run_id)
WHERE tag.key IN ('retention/days', 'retention/runs') AND tag.value !~ '^[0-9]{1,5}$' LIMIT 10
"""


@dataclass(frozen=True)
class Share:
    """What goes of one code location."""

    location: str
    runs: int
    of: int
    logs: int
    events: int
    bytes: int


@dataclass(frozen=True)
class Plan:
    """What goes; ``others`` maps a kind to a number of rows."""

    shares: Sequence[Share]
    others: dict[str, int]
    wrong_tags: Sequence[tuple[str, str, str, str]]
    run_ids: Sequence[str]

    @property
    def bytes(self) -> int:
        return sum(share.bytes for share in self.shares)


def make(connection: Any, rules: Rules) -> Plan:
    """Look, in a transaction that is rolled back."""
    try:
        with connection.cursor() as cursor:
            select(cursor, rules)
            cursor.execute("SELECT coalesce(array_agg(run_id), '{}') FROM going")
            (batch,) = cursor.fetchone()
            cursor.execute(_ALL)
            number = dict(cursor.fetchall())
            # Of a table's size, the share that its contents have.
            events = _factor(cursor, "event_logs", "event")
            runs = _factor(cursor, "runs", "run_body")
            cursor.execute(_SIZES, PARAMETERS | {"batch": batch})
            shares = [
                Share(
                    location,
                    whole,
                    number.get(location, 0),
                    logs,
                    int(count),
                    int(float(size) * events + float(bodies) * runs),
                )
                for location, whole, logs, count, size, bodies in cursor.fetchall()
            ]
            others = {}
            for kind, (_, old) in OTHERS.items():
                cursor.execute(
                    f"SELECT count(*) FROM ({old}) AS old",  # constants
                    PARAMETERS | {"days": rules.days},
                )
                others[kind] = cursor.fetchone()[0] if rules.days else 0
            cursor.execute(_WRONG_TAGS)
            return Plan(shares, others, cursor.fetchall(), batch)
    finally:
        connection.rollback()


def ids(connection: Any, rules: Rules) -> list[tuple[str, str]]:
    """Location and id of each run that goes, or whose log does."""
    try:
        with connection.cursor() as cursor:
            select(cursor, rules)
            cursor.execute("SELECT location, run_id FROM going")
            return list(cursor.fetchall())
    finally:
        connection.rollback()


def _factor(cursor: Any, table: str, column: str) -> float:
    """Bytes of the table with its indexes, for each byte of the column's content."""
    cursor.execute(
        f"SELECT pg_total_relation_size('{table}'), sum(pg_column_size({column})) FROM {table}"
    )
    total, content = cursor.fetchone()
    return float(total) / float(content) if content else 0.0

"""What a migration changes in Dagster's database, as lines that people can read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_DATABASE = "dagster"
# Data migrations are marked as done by a row of secondary_indexes.
_SHAPE = """
SELECT 'column ' || table_name || '.' || column_name || ' ' || data_type
  FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT 'index ' || tablename || '.' || indexname FROM pg_indexes
  WHERE schemaname = 'public'
UNION ALL SELECT 'data migration ' || name FROM secondary_indexes
UNION ALL SELECT 'revision ' || version_num FROM alembic_version
"""


@dataclass(frozen=True)
class Database:
    """Dagster's database in one stack, asked as its superuser inside the server's container."""

    execute: Callable[..., str]
    """Runs a command in that container, and returns what it prints."""

    def rows(self, query: str) -> list[str]:
        """Rows of a query, a line each; columns are separated by tabs."""
        return self.execute(
            *("psql", "--username=postgres", "--host=/var/run/postgresql"),
            *(f"--dbname={_DATABASE}", "-XAtF", "\t", "-v", "ON_ERROR_STOP=1", "-c", query),
        ).splitlines()

    def shape(self) -> frozenset[str]:
        """Its tables, columns, indexes and migrations."""
        return frozenset(self.rows(_SHAPE))

    def runs_since(self, time: str) -> list[str]:
        """Runs created from ``time`` (ISO 8601) on: id, job, status."""
        return self.rows(
            "SELECT run_id, pipeline_name, status FROM runs"
            f" WHERE create_timestamp >= '{time}'::timestamptz AT TIME ZONE 'UTC' ORDER BY id"
        )


def changes(before: frozenset[str], after: frozenset[str]) -> list[str]:
    """What was added, then what was removed."""
    return [
        *(f"adds {line}" for line in sorted(after - before)),
        *(f"removes {line}" for line in sorted(before - after)),
    ]

"""Sessions of the warehouse that hold loads up, and loads that wait for them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from harness import Stack, until

HOLDER = "test-holds-loads-up"
# The load that merges waits for the table, and one that has yet to begin for the other load.
WAITING = """
    SELECT DISTINCT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND usename = 'elt' AND (locktype, mode) IN
        (('relation', 'ShareRowExclusiveLock'), ('advisory', 'ExclusiveLock'))
"""


@contextmanager
def merging_held(stack: Stack, table: str) -> Iterator[None]:
    """Another session keeps the table from being written, though not from being read."""
    with _held(stack, f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"):
        yield


@contextmanager
def reading_held(stack: Stack, table: str) -> Iterator[None]:
    """Loads of the table wait before they open its file, as for another load."""
    with _held(stack, f"SELECT pg_advisory_lock(hashtextextended('{table}', 0))"):
        yield


def waiting_loads(stack: Stack, count: int) -> list[str]:
    """The sessions of loads that are held up, as soon as there are that many."""

    def found() -> list[str]:
        pids = [pid for (pid,) in stack.sql(WAITING)]
        assert len(pids) == count, pids
        return pids

    return until(found, seconds=120)


@contextmanager
def _held(stack: Stack, statement: str) -> Iterator[None]:
    psql = ["psql", "-U", "postgres", "-h", "/var/run/postgresql", "-d", "warehouse"]
    command = ["docker", "compose", "exec", "-T", "-e", f"PGAPPNAME={HOLDER}", "postgres", *psql]
    holder = subprocess.Popen(
        [*command, "-c", f"{statement}; SELECT pg_sleep(3600)"],
        cwd=stack.folder,
        env=stack.environment,
        stdin=subprocess.DEVNULL,
    )

    def holds() -> None:
        query = "SELECT wait_event FROM pg_stat_activity WHERE application_name = "
        assert stack.sql(f"{query} '{HOLDER}'") == [["PgSleep"]]

    try:
        until(holds, seconds=30)
        yield
    finally:
        stack.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE application_name = '{HOLDER}'"
        )
        holder.wait(30)

"""The default limit of pools, where the database can see it.

A step makes a pool that has none yet with the default of dagster.yaml. Its location's role may do
that, and the database puts in the limit that is written here, whatever the step says.
"""

from __future__ import annotations

from typing import Any

from dagster import DagsterInstance
from sqlalchemy import text

_SET = text('UPDATE control.pool_default SET "limit" = :limit')
_IS_DEFAULT = text(
    "UPDATE concurrency_limits SET using_default_limit = true WHERE concurrency_key = :name"
)


def publish_pool_default(instance: DagsterInstance) -> None:
    """Write the default limit, and bring the pools that have the former one up to date."""
    limit = instance.global_op_concurrency_default_limit
    if limit is None:
        return
    storage: Any = instance.run_storage
    with storage.connect() as connection:
        connection.execute(_SET, {"limit": limit})
    events: Any = instance.event_log_storage
    for pool in events.get_pool_limits():
        if pool.from_default and pool.limit != limit:
            # Dagster's own way, initialize_concurrency_limit_to_default, fails on Postgres for a
            # pool that exists: it goes on in a transaction that has failed (1.13.27).
            events.set_concurrency_slots(pool.name, limit)
            with events.index_connection() as connection:
                connection.execute(_IS_DEFAULT, {"name": pool.name})

"""What is needed to create runs whole and to end them once, in daemon and webserver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as db
from compose_run_launcher.private_names import Hook, needed_by

_WHOLE = "creating runs whole or not at all"
_AT_ONCE = "creating a run of many assets and checks at once"
_ONE_END = "ending a run once"

with needed_by(_WHOLE):
    from dagster import DagsterEventType as DagsterEventType
    from dagster import DagsterInstance
    from dagster._core.execution.backfill import PartitionBackfill as PartitionBackfill
    from dagster._core.storage.asset_check_execution_record import (
        AssetCheckExecutionRecordStatus as AssetCheckExecutionRecordStatus,
    )
    from dagster._core.storage.event_log.migration import (
        ASSET_KEY_INDEX_COLS as ASSET_KEY_INDEX_COLS,
    )
    from dagster._core.storage.event_log.schema import (
        AssetCheckExecutionsTable as AssetCheckExecutionsTable,
    )
    from dagster._core.storage.event_log.schema import AssetKeyTable as AssetKeyTable
    from dagster._core.storage.event_log.schema import (
        SqlEventLogStorageTable as SqlEventLogStorageTable,
    )
    from dagster._core.storage.runs.schema import RunsTable, RunTagsTable
    from dagster._core.storage.tags import BACKFILL_ID_TAG as BACKFILL_ID_TAG
    from dagster._core.storage.tags import PARTITION_NAME_TAG as PARTITION_NAME_TAG
    from dagster._core.storage.tags import PARTITION_SET_TAG as PARTITION_SET_TAG
    from dagster._serdes import serialize_value as serialize_value
    from dagster_postgres.event_log import PostgresEventLogStorage
    from dagster_postgres.run_storage import PostgresRunStorage

HOOKS = (
    Hook(PostgresRunStorage, "connect", ("self",), _WHOLE),
    Hook(PostgresRunStorage, "add_run", ("self", "dagster_run"), _WHOLE),
    Hook(PostgresRunStorage, "add_backfill", ("self", "partition_backfill"), _WHOLE),
    Hook(PostgresRunStorage, "add_run_tags", ("self", "run_id", "new_tags"), _WHOLE),
    Hook(PostgresEventLogStorage, "store_event_batch", ("self", "events"), _AT_ONCE),
    Hook(PostgresEventLogStorage, "index_transaction", ("self",), _AT_ONCE),
    Hook(PostgresEventLogStorage, "_event_to_row", ("self", "event"), _AT_ONCE),
    Hook(
        PostgresEventLogStorage,
        "_get_asset_entry_values",
        ("self", "event", "event_id", "has_asset_key_index_cols"),
        _AT_ONCE,
    ),
    # Stores an event, then does what follows from it: the run's state, whether it is retried.
    Hook(DagsterInstance, "handle_new_event", ("self", "event", "batch_metadata"), _ONE_END),
)
CONNECT, ADD_RUN, ADD_BACKFILL, ADD_RUN_TAGS, STORE_BATCH, *_, NEW_EVENT = HOOKS
connect, add_run, add_backfill, add_run_tags, store_batch, *_ = (hook.original() for hook in HOOKS)
row_of, _asset_values, handle_new_event = (hook.original() for hook in HOOKS[-3:])


def lock_run(connection: db.Connection, run_id: str) -> None:
    """Let other writers of this run wait until the transaction ends."""
    connection.execute(
        db.select(RunsTable.c.id).where(RunsTable.c.run_id == run_id).with_for_update()
    )


def add_missing_tags(connection: db.Connection, run_id: str, tags: Mapping[str, str]) -> None:
    """Add the rows of those tags that have none."""
    of_run = db.and_(RunTagsTable.c.run_id == run_id, RunTagsTable.c.key.in_(tags))
    found = {row.key for row in connection.execute(db.select(RunTagsTable.c.key).where(of_run))}
    if missing := [key for key in tags if key not in found]:
        rows = [{"run_id": run_id, "key": key, "value": tags[key]} for key in missing]
        connection.execute(RunTagsTable.insert(), rows)


def asset_values(storage: PostgresEventLogStorage, event: Any, event_id: int) -> dict[str, Any]:
    """What the event changes in the row of its asset."""
    has_times = storage.has_secondary_index(ASSET_KEY_INDEX_COLS)
    values: dict[str, Any] = _asset_values(storage, event, event_id, has_times)
    return values


def check_hooks() -> None:
    """Raise Incompatible for the first hook that is not what we rely on."""
    for hook in HOOKS:
        hook.original()


check_hooks()

"""What a new run intends to do is written at once.

Dagster stores an event for each asset and check of a run when it creates the run, one by one, by
three to five statements each: a launch of 3,000 checks blocked for 15 seconds. Its storages may
take them together; dagster-postgres does so for events of other kinds only.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from dagster import EventLogEntry
from sqlalchemy.dialects import postgresql

from control_plane.internals import run_writes as internals
from control_plane.internals.run_writes import (
    AssetCheckExecutionRecordStatus,
    AssetCheckExecutionsTable,
    AssetKeyTable,
    DagsterEventType,
    SqlEventLogStorageTable,
)

_CHECK = DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
_PLANNED = {_CHECK, DagsterEventType.ASSET_MATERIALIZATION_PLANNED}
_BATCH = 1000


def write_planned_events_at_once() -> None:
    """Let this process write the planned events of the runs that it creates in batches."""
    # Dagster reads this variable at each event. Run workers do not inherit it: they are not child
    # processes of webserver and daemon.
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(_BATCH))
    internals.STORE_BATCH.replace(_store_batch)


def _store_batch(storage: Any, events: Sequence[EventLogEntry]) -> None:
    if {event.dagster_event_type for event in events} <= _PLANNED:
        _store_planned(storage, events)
    else:
        internals.store_batch(storage, events)


def _store_planned(storage: Any, events: Sequence[EventLogEntry]) -> None:
    """The rows that Dagster's ``store_event`` writes, in one transaction."""
    table = SqlEventLogStorageTable
    insert = table.insert().returning(table.c.id, sort_by_parameter_order=True)
    rows = [internals.row_of(storage, event) for event in events]
    with storage.index_transaction() as connection:
        ids = connection.execute(insert, rows).scalars().all()
        checks, assets = [], {}
        for event, row, event_id in zip(events, rows, ids, strict=True):
            if event.dagster_event_type == _CHECK:
                checks += _check_rows(event, row, event_id)
            else:
                key = {"asset_key": row["asset_key"]}
                assets[row["asset_key"]] = key | internals.asset_values(storage, event, event_id)
        if checks:
            connection.execute(AssetCheckExecutionsTable.insert(), checks)
        if assets:
            _write_assets(connection, list(assets.values()))


def _write_assets(connection: Any, rows: list[dict[str, Any]]) -> None:
    """Insert or update the rows of assets."""
    insert = postgresql.insert(AssetKeyTable)
    changed = {name: insert.excluded[name] for name in rows[0] if name != "asset_key"}
    connection.execute(
        insert.on_conflict_do_update(index_elements=[AssetKeyTable.c.asset_key], set_=changed), rows
    )


def _check_rows(event: EventLogEntry, row: dict[str, Any], event_id: int) -> list[dict[str, Any]]:
    planned: Any = event.get_dagster_event().event_specific_data
    subset = planned.partitions_subset
    return [
        {
            "asset_key": planned.asset_key.to_string(),
            "check_name": planned.check_name,
            "partition": partition,
            "run_id": event.run_id,
            "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
            "evaluation_event": row["event"],
            "evaluation_event_timestamp": row["timestamp"],
            "evaluation_event_storage_id": event_id,
        }
        for partition in (subset.get_partition_keys() if subset else [None])
    ]

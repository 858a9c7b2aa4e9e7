from collections.abc import Mapping, Sequence
from datetime import date
from time import perf_counter
from typing import Any

import dagster as dg
from location_kit.postgres import PostgresResource
from pydantic import Field

from postgres_loader.dagster_internals import DATA_VERSION_TAG
from postgres_loader.landing_files import midnight
from postgres_loader.landing_load import Outcome, day_versions, load_from_landing_zone
from postgres_loader.landing_zone import LandingZone
from postgres_loader.reporting import column_schema, failures, load_metadata, max_rejected_share
from postgres_loader.resources import LandingZoneResource
from postgres_loader.tables import Table

FILES_SHOWN = 20


class LoadConfig(dg.Config):
    """What one run may do that others may not."""

    max_deleted_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Of the table's rows, those that this run may delete; instead of the table's.",
    )


def table_asset(table: Table, *, owners: Sequence[str] = ()) -> dg.AssetsDefinition:
    """The asset `<table>_table`: files of the landing zone as raw.<table>.

    A table with days is partitioned by them. A partition's run replaces its day, and a run
    without partition the table; both report each day that they changed.
    """
    partitions = _partitions(table)

    @dg.asset(
        name=f"{table.name}_table",
        description=f"{table.description} Replaced by its files in the landing zone.",
        group_name="tables",
        kinds={"csv", "postgres"},
        owners=list(owners),
        partitions_def=partitions,
        # Several days at once: as many as the pool allows, see docs/landing-zone.md.
        pool=f"raw_{table.name}" if partitions else None,
        metadata={
            "dagster/column_schema": column_schema(table),
            "dagster/table_name": f"raw.{table.name}",
        },
    )
    def load_table(
        context: dg.AssetExecutionContext,
        config: LoadConfig,
        landing_zone: LandingZoneResource,
        postgres: PostgresResource,
    ) -> dg.MaterializeResult:
        day = date.fromisoformat(context.partition_key) if context.has_partition_key else None
        started = perf_counter()
        with failures(), postgres.get_connection() as connection:
            zone, schema = landing_zone.open(), postgres.schema_
            share = max_rejected_share()
            outcome = load_from_landing_zone(
                connection, zone, schema, table, day, share, config.max_deleted_share
            )
            days = outcome.changed_days | ({day} if day and outcome.loaded else set())
            versions = day_versions(connection, schema, table, sorted(days)) if days else {}
            _report_days(context, partitions, outcome, versions)
            if outcome.failures:
                raise outcome.failure()
        metadata = load_metadata(table, outcome.result, perf_counter() - started)
        if day:
            metadata["dagster/partition_row_count"] = metadata.pop("dagster/row_count")
        return dg.MaterializeResult(
            metadata={**_files(zone, outcome), **metadata},
            data_version=dg.DataVersion(versions[day] if day else outcome.result.digest),
        )

    return load_table


def _partitions(table: Table) -> dg.DailyPartitionsDefinition | None:
    if table.day_column is None or table.first_day is None:
        return None
    first = midnight(table.first_day)
    # With an offset of 1 the present day is the last.
    return dg.DailyPartitionsDefinition(first, timezone="UTC", end_offset=1)


def _report_days(
    context: dg.AssetExecutionContext,
    partitions: dg.DailyPartitionsDefinition | None,
    outcome: Outcome,
    versions: Mapping[date, str],
) -> None:
    """A materialization of each changed day that has a partition, except the run's own."""
    own = context.partition_key if context.has_partition_key else None
    for day in sorted(outcome.changed_days):
        key = day.isoformat()
        if partitions is None or key == own or not partitions.has_partition_key(key):
            continue
        context.log_event(
            dg.AssetMaterialization(
                context.asset_key,
                partition=key,
                metadata={"dagster/partition_row_count": outcome.result.days[day]},
                tags={DATA_VERSION_TAG: versions[day]},
            )
        )


def _files(zone: LandingZone, outcome: Outcome) -> dict[str, Any]:
    names = outcome.files
    if len(names) == 1:
        return {"file": dg.MetadataValue.url(zone.uri_of(names[0]))}
    more = [f"and {len(names) - FILES_SHOWN} more"] if len(names) > FILES_SHOWN else []
    return {"files": [zone.uri_of(name) for name in names[:FILES_SHOWN]] + more}

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from time import perf_counter
from typing import Any

import dagster as dg
from location_kit.postgres import PostgresResource
from pydantic import Field

from postgres_loader.dagster_internals import DATA_VERSION_TAG
from postgres_loader.landing_files import Part, midnight
from postgres_loader.landing_load import (
    Allowed,
    Outcome,
    day_versions,
    load_from_landing_zone,
)
from postgres_loader.landing_zone import LandingZone
from postgres_loader.loading import LoadResult
from postgres_loader.progress import Progress
from postgres_loader.reporting import (
    column_schema,
    failures,
    load_metadata,
    max_deleted_share,
    max_rejected_share,
)
from postgres_loader.resources import LandingZoneResource
from postgres_loader.second_requests import outage_tags
from postgres_loader.tables import Table
from postgres_loader.unmatched import named, unmatched

FILES_SHOWN = 20
# After 10, 30, 70 and 150 s, with a new connection each time; only for what may pass (failures()).
RETRIES = dg.RetryPolicy(max_retries=4, delay=10, backoff=dg.Backoff.EXPONENTIAL)


class TableLoad(dg.Config):
    """What one run may do that others may not."""

    max_deleted_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Of the rows that the run replaces, those that it may delete; instead of the "
        "setting and of what the table declares.",
    )
    replace_days: bool = Field(
        default=False,
        description="Replace rows of days also where they came from files of the days that are not "
        "in the landing zone any more.",
    )


def table_asset(
    table: Table,
    *,
    owners: Sequence[str] = (),
    tables: Sequence[Table] = (),
    schema: str = "raw",
) -> dg.AssetsDefinition:
    """The asset `<table>_table`: files of the landing zone as <schema>.<table>.

    The resource `postgres` says which schema is filled; `schema` is its name, for the UI.

    A table with days is partitioned by them. A partition's run replaces its day, and a run
    without partition the table; both report each day that they changed. Of all the `tables` that
    the landing zone has files of, the first one's runs name the files that belong to none.
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
        pool=f"{schema}_{table.name}" if partitions else None,
        retry_policy=RETRIES,
        metadata={
            "dagster/column_schema": column_schema(table),
            "dagster/table_name": f"{schema}.{table.name}",
        },
    )
    def load_table(
        context: dg.AssetExecutionContext,
        config: TableLoad,
        landing_zone: LandingZoneResource,
        postgres: PostgresResource,
    ) -> dg.MaterializeResult:
        day = date.fromisoformat(context.partition_key) if context.has_partition_key else None
        started = perf_counter()
        with (
            _asked_for_again(context),
            failures(),
            Progress(context.log.info) as progress,
            postgres.get_connection() as connection,
        ):
            zone, schema = landing_zone.open(), postgres.schema_
            deletable = config.max_deleted_share
            if deletable is None:
                deletable = max_deleted_share()
            allowed = Allowed(max_rejected_share(), deletable, config.replace_days)

            def report(part: Part, result: LoadResult) -> None:
                progress.doing(f"comparing {len(result.days)} days of {schema}.{table.name}")
                versions = day_versions(connection, schema, table, sorted(result.days))
                _report_days(context, partitions, result, versions)

            if day is None and table in tables[:1]:
                _name_unmatched(context, zone, tables)
            outcome = load_from_landing_zone(
                connection, zone, schema, table, day, allowed, loaded=report, progress=progress
            )
            if outcome.failures:
                raise outcome.failure()
            version = outcome.result.digest
            if day:
                version = day_versions(connection, schema, table, [day])[day]
        for sentence in outcome.kept:
            context.log.warning(sentence)
        metadata = load_metadata(table, outcome.result, perf_counter() - started)
        if day:
            metadata["dagster/partition_row_count"] = metadata.pop("dagster/row_count")
        return dg.MaterializeResult(
            metadata={**_files(zone, outcome), **metadata}, data_version=dg.DataVersion(version)
        )

    return load_table


def _name_unmatched(
    context: dg.AssetExecutionContext, zone: LandingZone, tables: Sequence[Table]
) -> None:
    names = unmatched(zone.listing(), tables)
    if names:
        said = f"{zone.uri_of('')} has {len(names)} files of no table, which nothing loads"
        context.log.warning(f"{said}: {named(names, tables)}")


@contextlib.contextmanager
def _asked_for_again(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Marks the run for the sensor when it fails for something that may pass."""
    try:
        yield
    except dg.Failure as failure:
        if failure.allow_retries:
            tags = outage_tags(context.asset_key.to_user_string())
            context.instance.add_run_tags(context.run.run_id, tags)
        raise


def _partitions(table: Table) -> dg.DailyPartitionsDefinition | None:
    if table.day_column is None or table.first_day is None:
        return None
    first = midnight(table.first_day)
    # With an offset of 1 the present day is the last.
    return dg.DailyPartitionsDefinition(first, timezone="UTC", end_offset=1)


def _report_days(
    context: dg.AssetExecutionContext,
    partitions: dg.DailyPartitionsDefinition | None,
    result: LoadResult,
    versions: Mapping[date, str],
) -> None:
    """A materialization of each changed day that has a partition, except the run's own."""
    own = context.partition_key if context.has_partition_key else None
    for day, rows in sorted(result.days.items()):
        key = day.isoformat()
        if partitions is None or key == own or not partitions.has_partition_key(key):
            continue
        context.log_event(
            dg.AssetMaterialization(
                context.asset_key,
                partition=key,
                metadata={"dagster/partition_row_count": rows},
                tags={DATA_VERSION_TAG: versions[day]},
            )
        )


def _files(zone: LandingZone, outcome: Outcome) -> dict[str, Any]:
    names = outcome.files
    if len(names) == 1:
        # No link: a browser opens neither s3:// nor file://.
        return {"file": zone.uri_of(names[0])}
    more = [f"and {len(names) - FILES_SHOWN} more"] if len(names) > FILES_SHOWN else []
    return {"files": [zone.uri_of(name) for name in names[:FILES_SHOWN]] + more}

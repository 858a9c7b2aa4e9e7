from dagster import (
    AssetKey,
    AssetSelection,
    DefaultScheduleStatus,
    EventLogEntry,
    RunRequest,
    ScheduleDefinition,
    SensorEvaluationContext,
    asset_sensor,
    build_schedule_from_partitioned_job,
    define_asset_job,
)

from .assets import catalog, days, orders, reorder, revenue

daily_sales_job = define_asset_job(
    "daily_sales_job",
    selection=[orders, revenue],
    partitions_def=days,
    tags={"team": "sales"},
)
daily_sales_schedule = build_schedule_from_partitioned_job(daily_sales_job, hour_of_day=3)

refresh_catalog_job = define_asset_job(
    "refresh_catalog_job", selection=AssetSelection.assets(catalog), description="Every hour."
)
refresh_catalog_schedule = ScheduleDefinition(
    job=refresh_catalog_job,
    cron_schedule="15 * * * *",
    default_status=DefaultScheduleStatus.RUNNING,
)

reorder_job = define_asset_job("reorder_job", selection=[reorder])


@asset_sensor(asset_key=AssetKey("products"), job=reorder_job)
def reorder_sensor(context: SensorEvaluationContext, asset_event: EventLogEntry):
    yield RunRequest(run_key=context.cursor)

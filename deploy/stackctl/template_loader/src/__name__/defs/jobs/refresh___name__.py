import dagster as dg

refresh___name___job = dg.define_asset_job(
    name="refresh___name___job",
    description="Loads every table file of the landing zone.",
    selection=dg.AssetSelection.assets("__name___items_table"),
)

refresh___name___job_schedule = dg.ScheduleDefinition(
    job=refresh___name___job,
    description="Every morning: loads all tables, whether or not their files have changed.",
    cron_schedule="0 6 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)

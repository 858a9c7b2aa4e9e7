import dagster as dg

refresh___name___job = dg.define_asset_job(
    name="refresh___name___job",
    description="Brings __name__'s assets up to date.",
    selection=dg.AssetSelection.assets("__name___days"),
)

refresh___name___job_schedule = dg.ScheduleDefinition(
    job=refresh___name___job,
    description="Every morning: brings __name__'s assets up to date.",
    cron_schedule="0 6 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)

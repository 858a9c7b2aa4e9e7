import dagster as dg

regenerate_analytics_job = dg.define_asset_job(
    name="regenerate_analytics_job",
    description="Brings the marts up to date with the raw tables.",
    selection=dg.AssetSelection.assets("my_analytics_asset"),
)

regenerate_analytics_job_schedule = dg.ScheduleDefinition(
    job=regenerate_analytics_job,
    cron_schedule="0 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)

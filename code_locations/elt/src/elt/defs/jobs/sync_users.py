import dagster as dg

sync_users_job = dg.define_asset_job(
    name="sync_users_job",
    description="Reads the users API and merges its users into raw.users.",
    selection=dg.AssetSelection.assets("api_users", "users_in_postgres"),
)

sync_users_job_schedule = dg.ScheduleDefinition(
    job=sync_users_job,
    description="Every day at noon: reads the users API.",
    cron_schedule="0 12 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)

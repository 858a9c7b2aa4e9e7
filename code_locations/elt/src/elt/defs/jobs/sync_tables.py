import dagster as dg

sync_tables_job = dg.define_asset_job(
    name="sync_tables_job",
    description="Loads every table file of the landing zone into the raw schema.",
    selection=dg.AssetSelection.assets("customers_table", "orders_table", "products_table"),
)

sync_tables_job_schedule = dg.ScheduleDefinition(
    job=sync_tables_job,
    description="Every day at midnight: loads all tables, whether or not their files have changed.",
    cron_schedule="0 0 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)

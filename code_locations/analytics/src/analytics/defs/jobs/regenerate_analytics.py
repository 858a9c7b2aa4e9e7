import dagster as dg

from analytics.dbt_translator import MARTS

regenerate_analytics_job = dg.define_asset_job(
    name="regenerate_analytics_job",
    description="Brings the marts, and the models that they are made from, up to date with the "
    "raw tables.",
    selection=dg.AssetSelection.groups(MARTS).upstream(),
)

regenerate_analytics_job_schedule = dg.ScheduleDefinition(
    job=regenerate_analytics_job,
    description="Every hour: brings the marts up to date, also when no table of elt has changed.",
    cron_schedule="0 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)

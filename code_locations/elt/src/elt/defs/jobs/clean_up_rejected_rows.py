import dagster as dg
from postgres_loader import delete_old_rejected_rows


@dg.job(description="Deletes rows that loads of the raw schema rejected long ago.")
def clean_up_rejected_rows_job() -> None:
    delete_old_rejected_rows()


clean_up_rejected_rows_job_schedule = dg.ScheduleDefinition(
    job=clean_up_rejected_rows_job,
    description="Every Sunday: deletes rejected rows that are older than 90 days.",
    cron_schedule="0 3 * * 0",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)

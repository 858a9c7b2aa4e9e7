from dagster import AssetSelection, ScheduleDefinition, define_asset_job

nightly_job = define_asset_job("nightly_job", selection=AssetSelection.all())
nightly_schedule = ScheduleDefinition(job=nightly_job, cron_schedule="30 1 * * *")

from dagster import ScheduleDefinition, define_asset_job

from northwind.sales.assets import orders, sold

daily_sales_job = define_asset_job("daily_sales_job", selection=[orders, sold])
daily_sales_schedule = ScheduleDefinition(job=daily_sales_job, cron_schedule="0 3 * * *")

from dagster import Definitions, EnvVar, load_assets_from_modules

from northwind.sales import assets as sales_assets
from northwind.sales.jobs import daily_sales_job, daily_sales_schedule
from northwind.stock import assets as stock_assets
from northwind.stock.jobs import count_stock_job, low_stock_sensor
from northwind.warehouse import Files

defs = Definitions(
    assets=[
        *load_assets_from_modules([sales_assets], group_name="sales"),
        *load_assets_from_modules([stock_assets], group_name="stock"),
    ],
    jobs=[daily_sales_job, count_stock_job],
    schedules=[daily_sales_schedule],
    sensors=[low_stock_sensor],
    resources={"files": Files(folder=EnvVar("NORTHWIND_FOLDER"))},
)

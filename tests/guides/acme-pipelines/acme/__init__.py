from dagster import Definitions, EnvVar, load_asset_checks_from_modules, load_assets_from_modules

from . import assets
from .jobs import (
    daily_sales_job,
    daily_sales_schedule,
    refresh_catalog_job,
    refresh_catalog_schedule,
    reorder_sensor,
)
from .resources import ShopApi, Warehouse

defs = Definitions(
    assets=load_assets_from_modules([assets], group_name="sales"),
    asset_checks=load_asset_checks_from_modules([assets]),
    jobs=[daily_sales_job, refresh_catalog_job],
    schedules=[daily_sales_schedule, refresh_catalog_schedule],
    sensors=[reorder_sensor],
    resources={
        "shop": ShopApi(url=EnvVar("SHOP_URL"), token=EnvVar("SHOP_TOKEN")),
        "warehouse": Warehouse(path=EnvVar("ACME_WAREHOUSE")),
    },
)

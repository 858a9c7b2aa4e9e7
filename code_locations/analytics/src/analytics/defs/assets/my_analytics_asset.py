import dagster as dg


@dg.asset(deps=["customers_table", "orders_table"])
def my_analytics_asset() -> None: ...

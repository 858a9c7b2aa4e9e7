from time import perf_counter

import dagster as dg
from location_kit.postgres import PostgresResource

from analytics.automation import HOURLY, with_upstream
from analytics.customer_orders import COLUMNS, TABLE, MartError, replace_mart
from analytics.reporting import column_schema, markdown_table


@dg.asset(
    deps=[dg.AssetKey(["staging", "stg_customers"]), dg.AssetKey(["staging", "stg_orders"])],
    automation_condition=with_upstream,
    freshness_policy=HOURLY,
    group_name="marts",
    kinds={"postgres", "sql"},
    owners=["team:analytics"],
    metadata={
        "dagster/column_schema": column_schema(COLUMNS),
        "dagster/table_name": f"marts.{TABLE}",
    },
)
def my_analytics_asset(postgres: PostgresResource) -> dg.MaterializeResult:
    """Orders, revenue, first and last order of every customer, those without orders included."""
    started = perf_counter()
    with postgres.get_connection() as connection:
        try:
            result = replace_mart(connection, postgres.schema_)
        except MartError as error:
            raise dg.Failure(description=str(error)) from None
    duration_s = perf_counter() - started
    # For the run's captured output.
    print(
        f"marts.{TABLE}: {result.rows} customers, {result.orders} orders, "
        f"{result.revenue_cents} cents, in {duration_s:.2f} s",
        flush=True,
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": result.rows,
            "orders": result.orders,
            "revenue_cents": result.revenue_cents,
            "duration_s": round(duration_s, 3),
            "preview": markdown_table([column.name for column in COLUMNS], result.preview),
        }
    )

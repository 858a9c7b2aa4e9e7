import dagster as dg
from location_kit.postgres import PostgresResource

from analytics.customer_orders import uncounted


@dg.asset_check(
    asset="my_analytics_asset", additional_deps=[dg.AssetKey(["staging", "stg_orders"])]
)
def every_order_is_counted(postgres: PostgresResource) -> dg.AssetCheckResult:
    """The mart's orders and revenue are those of staging: an order without a customer is missed."""
    with postgres.get_connection() as connection:
        missing = uncounted(connection, postgres.schema_)
    return dg.AssetCheckResult(
        passed=missing.orders == missing.revenue_cents == 0,
        metadata={
            "missing_orders": missing.orders,
            "missing_revenue_cents": missing.revenue_cents,
        },
    )

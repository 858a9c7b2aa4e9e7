"""Files of orders, and what became of them."""

from pathlib import Path
from typing import Any

import dagster as dg
from location_kit.postgres import PostgresResource

from postgres_loader import LandingZoneResource

HEADER = "order_id,customer_id,product_id,quantity,amount_cents,ordered_at,shipped_at,note"


def order(number: int, at: str, cents: int = 100) -> str:
    return f"{number},1,1,1,{cents},{at},,"


def write(path: Path, *lines: str) -> None:
    path.write_text("\n".join([HEADER, *lines, ""]))


def load_asset(
    asset: dg.AssetsDefinition, landing: Path, postgres: PostgresResource, **options: Any
) -> dg.ExecuteInProcessResult:
    """Materialize a table's asset from a folder; `options` are those of dagster.materialize."""
    return dg.materialize(
        [asset],
        raise_on_error=False,
        resources={
            "landing_zone": LandingZoneResource(uri=landing.as_uri()),
            "postgres": postgres,
        },
        **options,
    )


def stored(warehouse: PostgresResource) -> dict[int, int]:
    """What each order costs, in cents."""
    with warehouse.get_connection() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT order_id, amount_cents FROM raw.orders ORDER BY 1")
        return dict(cursor.fetchall())


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.get_step_failure_events()
    data = event.step_failure_data.user_failure_data
    assert data is not None, event.step_failure_data.error_display_string
    return str(data.description)

from datetime import UTC, datetime

import dagster as dg
from location_kit import PostgresResource

from __name__.days import TABLE, replace_days


@dg.asset(
    name="__name___days",
    group_name="__name__",
    kinds={"postgres"},
    owners=["team:__name__"],
    metadata={"dagster/table_name": f"__name__.{TABLE}"},
)
def days(postgres: PostgresResource) -> dg.MaterializeResult:
    """A row per day of this year: an example to put your own asset in the place of."""
    year = datetime.now(UTC).year
    with postgres.get_connection() as connection:
        rows = replace_days(connection, year)
    # For the run's captured output.
    print(f"__name__.{TABLE}: {rows} days of {year}", flush=True)
    return dg.MaterializeResult(metadata={"dagster/row_count": rows, "year": year})

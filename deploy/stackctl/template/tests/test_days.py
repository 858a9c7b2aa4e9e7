"""The table of days, made by the job in a real PostgreSQL."""

from datetime import UTC, date, datetime

import dagster as dg
from location_kit import PostgresResource
from location_kit.testing import query

from __name__.days import replace_days
from __name__.definitions import defs

JOB = "refresh___name___job"
ASSET = "__name___days"
TABLE = "__name__.days"


def run(warehouse: PostgresResource) -> dg.ExecuteInProcessResult:
    """The job, with this warehouse in the place of the stack's."""
    return defs.resolve_job_def(JOB).execute_in_process(resources={"postgres": warehouse})


def test_a_rerun_makes_the_same_days_of_this_year(warehouse: PostgresResource) -> None:
    for _ in range(2):
        result = run(warehouse)
        (materialization,) = result.asset_materializations_for_node(ASSET)
        rows = materialization.metadata["dagster/row_count"].value
        assert query(warehouse, f"SELECT count(*) FROM {TABLE}") == [(rows,)]
        assert rows in {365, 366}
    ((year,),) = query(warehouse, "SELECT DISTINCT extract(year FROM day)::integer FROM days")
    assert year == datetime.now(UTC).year


def test_weeks_and_weekends(warehouse: PostgresResource) -> None:
    with warehouse.get_connection() as connection:
        assert replace_days(connection, 2028) == 366
    first = "SELECT * FROM days WHERE day < '2028-01-04' ORDER BY day"
    assert query(warehouse, first) == [
        (date(2028, 1, 1), 52, True),
        (date(2028, 1, 2), 52, True),
        (date(2028, 1, 3), 1, False),
    ]

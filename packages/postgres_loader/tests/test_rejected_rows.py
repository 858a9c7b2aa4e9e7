"""Rejected rows are deleted when they are old, a batch at a time, whatever loads do meanwhile."""

from typing import Any

import dagster as dg
import pytest
from fruit import query
from location_kit.postgres import PostgresResource
from pydantic import ValidationError

from postgres_loader import delete_old_rejected_rows, rejected_rows
from postgres_loader.loading import LoadResult
from postgres_loader.rejected_rows import Keep

BAD = b"id,name,weight_g,picked_at\n1,apple,heavy,\n2,fig,30,\n"
# Ages in days, of a row each.
ADD = """
    INSERT INTO raw.{}_rejected (file, line, reason, rejected_at)
    SELECT 'old', age, 'x', now() - age * interval '1 day' FROM unnest(ARRAY{}) AS age; SELECT 1
"""
LINES = "SELECT line FROM raw.{}_rejected WHERE file = 'old' ORDER BY line"


@dg.job
def clean_up() -> None:
    delete_old_rejected_rows()


def run(warehouse: PostgresResource, **config: Any) -> dict[str, Any]:
    """Metadata of the op's output."""
    run_config = {"ops": {"delete_old_rejected_rows": {"config": config}}}
    result = clean_up.execute_in_process(run_config, resources={"postgres": warehouse})
    (output,) = result.filter_events(lambda event: event.is_successful_output)
    seen = {name: each.value for name, each in output.step_output_data.metadata.items()}
    assert seen["deleted"] == result.output_for_node("delete_old_rejected_rows")
    return seen


@pytest.fixture
def rejected(warehouse: PostgresResource, load_csv: Any) -> None:
    """The table as a load makes it, with the row of today; and another one."""
    done: LoadResult = load_csv(BAD, max_rejected_share=0.5)
    assert done.rejected == 1
    query(warehouse, "CREATE TABLE raw.nuts_rejected (LIKE raw.fruit_rejected); SELECT 1")


def test_old_rows_go_and_others_stay(
    warehouse: PostgresResource, rejected: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejected_rows, "BATCH_ROWS", 2)
    query(warehouse, ADD.format("fruit", [1, 89, 91, 200, 300, 400, 500]))
    query(warehouse, ADD.format("nuts", [1, 100]))
    seen = run(warehouse)
    assert (seen["deleted"], seen["fruit_rejected"], seen["nuts_rejected"]) == (6, 5, 1)
    assert query(warehouse, LINES.format("fruit")) == [(1,), (89,)]
    assert query(warehouse, LINES.format("nuts")) == [(1,)]
    today = "SELECT file, column_name FROM raw.fruit_rejected WHERE file <> 'old'"
    assert query(warehouse, today) == [("file:///fruit.csv", "weight_g")]
    assert run(warehouse)["deleted"] == 0
    assert run(warehouse, days_to_keep=30)["deleted"] == 1


def test_tables_that_are_not_a_loads_are_left_alone(
    warehouse: PostgresResource, rejected: None
) -> None:
    query(
        warehouse,
        "CREATE TABLE raw.offers_rejected AS SELECT 1 AS line, timestamptz '2020-01-01' AS "
        "rejected_at; SELECT 1",
    )
    assert "offers_rejected" not in run(warehouse)
    assert query(warehouse, "SELECT count(*) FROM raw.offers_rejected") == [(1,)]


def test_nothing_was_ever_rejected(warehouse: PostgresResource) -> None:
    assert run(warehouse)["deleted"] == 0


def test_rows_that_a_load_replaces_are_not_waited_for(
    warehouse: PostgresResource, rejected: None
) -> None:
    query(warehouse, ADD.format("fruit", [100, 200]))
    with warehouse.get_connection() as load, load.cursor() as cursor:
        cursor.execute("DELETE FROM raw.fruit_rejected WHERE line = 100")
        assert run(warehouse)["deleted"] == 1
        load.rollback()
    assert query(warehouse, LINES.format("fruit")) == [(100,)]


@pytest.mark.parametrize("days", [0, -1])
def test_days_out_of_range_are_refused(days: int) -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        Keep(days_to_keep=days)

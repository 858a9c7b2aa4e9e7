"""The README's examples, run as they stand."""

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from location_kit.postgres import PostgresResource
from location_kit.testing import query

from postgres_loader import LandingZoneResource

README = (Path(__file__).parents[1] / "README.md").read_text()
LOADING, DIALECT = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def example() -> dict[str, Any]:
    """What the first example defines."""
    names: dict[str, Any] = {}
    exec(LOADING, names)  # noqa: S102
    return names


def test_its_asset_loads_a_file(
    example: dict[str, Any], warehouse: PostgresResource, tmp_path: Path
) -> None:
    (tmp_path / "items.csv").write_text("item_id,name\n1,Kettle\n2,Teapot\n")
    resources = {
        "postgres": warehouse,
        "landing_zone": LandingZoneResource(uri=tmp_path.as_uri()),
    }
    assert dg.materialize([example["items_table"]], resources=resources).success
    assert query(warehouse, "SELECT * FROM raw.items ORDER BY 1") == [
        (1, "Kettle"),
        (2, "Teapot"),
    ]


def test_its_sensor_is_of_its_asset(example: dict[str, Any], warehouse: PostgresResource) -> None:
    definitions = dg.Definitions(
        assets=[example["items_table"]],
        sensors=[example["landing_zone_sensor"]],
        resources={
            "postgres": warehouse,
            "landing_zone": LandingZoneResource(uri="file:///nowhere"),
        },
    )
    sensor = definitions.get_repository_def().get_sensor_def("landing_zone_sensor")
    assert sensor.asset_selection == dg.AssetSelection.assets(example["items_table"])


def test_its_dialect_can_be_declared(example: dict[str, Any]) -> None:
    required = ("name", "description", "primary_key", "columns")
    rest = ", ".join(f"{field}=ITEMS.{field}" for field in required)
    table = eval(DIALECT.replace("...", rest), example)
    assert (table.delimiter, table.decimal_sign) == (";", ",")

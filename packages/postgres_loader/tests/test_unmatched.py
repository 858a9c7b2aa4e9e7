"""Files that belong to no table are named, by the sensor and by the run of the whole."""

from pathlib import Path

import dagster as dg
import pytest
from location_kit.postgres import PostgresResource
from shop import DEFINITIONS, LANDING_TABLES, customers_table

from postgres_loader import LandingZoneResource
from postgres_loader.landing_zone import open_landing_zone
from postgres_loader.unmatched import named, unmatched

HEADER = "customer_id,name,email,city,country,registered_at\n"
TOLD = (
    "Orders_2025-01-31.csv (names are case-sensitive: rename it to orders_2025-01-31.csv), "
    "orders.CSV (names are case-sensitive: rename it to orders.csv), "
    "orders.xlsx (its name ends with none of .csv, .csv.gz, .jsonl, .jsonl.gz, .parquet), "
    "orders.parquet/ (a folder: put its files beside it, under names of their own), "
    "my orders.csv, readme.txt"
)


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    (tmp_path / "customers.csv").write_text(f"{HEADER}1,Ada,,,GB,2025-01-01T00:00:00Z\n")
    for name in (
        *("orders.CSV", "my orders.csv", "Orders_2025-01-31.csv"),
        *("orders.xlsx", "readme.txt", ".orders.csv.part", "orders_2024-12-31.csv"),
    ):
        (tmp_path / name).touch()
    for name in ("orders.parquet", "loaded"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_names_and_reasons(landing: Path) -> None:
    found = unmatched(open_landing_zone(landing.as_uri()).listing(), LANDING_TABLES)
    assert named(found, LANDING_TABLES) == TOLD
    assert named(found, LANDING_TABLES, shown=1).endswith("orders_2025-01-31.csv) and 5 more")


def test_a_run_of_the_first_table_names_them(
    landing: Path, warehouse: PostgresResource, capfd: pytest.CaptureFixture[str]
) -> None:
    resources = {
        "landing_zone": LandingZoneResource(uri=landing.as_uri()),
        "postgres": warehouse,
    }
    assert dg.materialize([customers_table], resources=resources).success
    logged = capfd.readouterr().err
    assert f"WARNING - {landing.as_uri()}" not in logged
    (line,) = [line for line in logged.splitlines() if "which nothing loads" in line]
    assert " WARNING " in line
    assert f"has 6 files of no table, which nothing loads: {TOLD}" in line


def test_the_sensor_names_them_once(landing: Path) -> None:
    repository = DEFINITIONS.get_repository_def()
    cursor, said = None, []
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            context = dg.build_sensor_context(
                instance=instance,
                repository_def=repository,
                cursor=cursor,
                resources={"landing_zone": LandingZoneResource(uri=landing.as_uri())},
            )
            data = repository.get_sensor_def("landing_zone_sensor").evaluate_tick(context)
            cursor = data.cursor
            said.append(str(data.skip_message))
    assert "orders.parquet/ (a folder:" in said[0]
    assert "orders.CSV (names are case-sensitive: rename it to orders.csv)" in said[0]
    assert "of no table" not in said[1]

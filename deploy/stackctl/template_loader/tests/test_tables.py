"""The sample file, put into a landing zone and loaded by the job into a real PostgreSQL."""

from pathlib import Path

import dagster as dg
import pytest
from location_kit import PostgresResource
from location_kit.testing import query
from postgres_loader import LandingZoneResource, settling

from __name__ import sample_data
from __name__.definitions import defs


@pytest.fixture
def landing_zone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> LandingZoneResource:
    """A folder with the sample file."""
    uri = (tmp_path / "landing").as_uri()
    monkeypatch.setenv("LANDING_ZONE", uri)
    monkeypatch.setenv("LANDING_ZONE_SAMPLE", "true")
    # The file is as young as can be: loads look again whether it still grows.
    monkeypatch.setattr(settling, "LOOK_S", 0.01)
    sample_data.main()
    assert "was empty; added __name___items.csv" in capsys.readouterr().out
    return LandingZoneResource(uri=uri)


def test_the_sample_is_loaded_and_a_rerun_changes_nothing(
    warehouse: PostgresResource, landing_zone: LandingZoneResource
) -> None:
    for inserted in (3, 0):
        result = defs.resolve_job_def("refresh___name___job").execute_in_process(
            resources={"landing_zone": landing_zone, "postgres": warehouse}
        )
        (materialization,) = result.asset_materializations_for_node("__name___items_table")
        assert materialization.metadata["inserted"].value == inserted
        assert query(warehouse, "SELECT * FROM __name__.__name___items ORDER BY item_id") == [
            (1, "Kettle", 2990),
            (2, "Teapot", 1850),
            (3, "Tea strainer", None),
        ]


def test_the_sensor_asks_for_the_new_file(landing_zone: LandingZoneResource) -> None:
    sensor = defs.get_repository_def().get_sensor_def("__name___landing_zone_sensor")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    with dg.DagsterInstance.ephemeral() as instance:
        cursor, requests = None, []
        # A file is asked for when a second look finds it as it was.
        for _ in range(2):
            context = dg.build_sensor_context(
                definitions=defs,
                instance=instance,
                cursor=cursor,
                resources={"landing_zone": landing_zone},
            )
            tick = sensor.evaluate_tick(context)
            cursor = tick.cursor
            requests += tick.run_requests or []
    (request,) = requests
    assert request.asset_selection == [dg.AssetKey("__name___items_table")]

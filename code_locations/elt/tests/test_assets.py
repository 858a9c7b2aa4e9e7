"""The assets as a run sees them: real files, a real PostgreSQL, a real HTTP server."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from elt.definitions import defs
from elt.defs.resources import LandingZoneResource, UsersApiResource
from elt.landing_zone import SAMPLE_FOLDER, FolderLandingZone, seed
from elt.postgres import PostgresResource

Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing"
    seed(FolderLandingZone(folder))
    return folder


@pytest.fixture
def run(landing: Path, warehouse: PostgresResource) -> Run:
    """Runs a job of the location against the test's landing zone, warehouse and API."""

    def run_job(job: str, api: str = "http://127.0.0.1:9") -> dg.ExecuteInProcessResult:
        resources = {
            "landing_zone": LandingZoneResource(uri=landing.as_uri()),
            "postgres": warehouse,
            "users_api": UsersApiResource(base_url=api, timeout_s=5),
        }
        return defs.resolve_job_def(job).execute_in_process(
            resources=resources, raise_on_error=False
        )

    return run_job


def query(warehouse: PostgresResource, statement: str) -> list[tuple[Any, ...]]:
    with warehouse.get_connection() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def test_sync_tables(run: Run, warehouse: PostgresResource) -> None:
    result = run("sync_tables_job")
    assert result.success

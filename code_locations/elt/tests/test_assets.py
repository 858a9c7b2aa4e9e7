"""The jobs as a run sees them: real files, a real PostgreSQL, a real HTTP server."""

import csv
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from location_kit.postgres import PostgresResource
from paged_api import client
from postgres_loader import LandingZoneResource, settling
from postgres_loader.landing_zone import FolderLandingZone
from postgres_loader.seeding import seed
from pytest_httpserver import HTTPServer

from elt.definitions import defs
from elt.defs.resources import UsersApiResource
from elt.sample_data import SAMPLE_FOLDER

Run = Callable[..., dg.ExecuteInProcessResult]
ADA = {
    "id": 1,
    "name": "Ada",
    "username": "ada",
    "email": "ada@example.com",
    "address": {"city": "London", "geo": {"lat": "51.5", "lng": "-0.1"}},
    "company": {"name": "Engines", "catchPhrase": "Weaves\talgebra"},
}
BOB = {"id": 2, "name": "", "karma": 5}


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    """The sample files, with all orders on one day.

    Of the sample's 320 days, each load reports every one, which is most of the time that it takes.
    """
    folder = tmp_path / "landing"
    seed(FolderLandingZone(folder), SAMPLE_FOLDER)
    orders = folder / "orders.csv"
    ordered_on = re.compile(r"^((?:\d+,){5})\d{4}-\d\d-\d\d", flags=re.MULTILINE)
    text = ordered_on.sub(r"\g<1>2025-01-01", orders.read_text(encoding="utf-8"))
    orders.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def run(landing: Path, warehouse: PostgresResource, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a job of the location against the test's landing zone, warehouse and API."""
    monkeypatch.setattr(client, "BACKOFF_S", 0.001)
    # The files of the tests are as young as can be.
    monkeypatch.setattr(settling, "LOOK_S", 0.01)
    # The step's retries are minutes apart.
    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", lambda *_: 0.0)

    def run_job(
        job: str, *, api: str = "http://127.0.0.1:9", postgres: PostgresResource = warehouse
    ) -> dg.ExecuteInProcessResult:
        resources = {
            "landing_zone": LandingZoneResource(uri=landing.as_uri()),
            "postgres": postgres,
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


def failure(result: dg.ExecuteInProcessResult, step: str) -> tuple[str, dict[str, Any]]:
    """Description and metadata of the failure that a step ended with."""
    (event,) = (event for event in result.get_step_failure_events() if event.step_key == step)
    # The reader sees the sentence alone, without the exceptions that led to it.
    assert "another exception" not in str(event.step_failure_data.error_display_string)
    error = event.step_failure_data.error
    if error.cls_name == "RetryRequestedFromPolicy":  # Dagster's, around the last attempt's
        error = error.cause
    assert error.cause is None
    data = event.step_failure_data.user_failure_data
    assert data is not None, event.step_failure_data.error_display_string
    return data.description, {name: value.value for name, value in data.metadata.items()}


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    materializations = result.asset_materializations_for_node(asset)
    # Days that changed are reported beside the table.
    (materialization,) = [each for each in materializations if each.partition is None]
    for value in materialization.metadata.values():
        if isinstance(value, dg.UrlMetadataValue):
            assert str(value.value).startswith(("http://", "https://")), "no browser opens this"
    return {name: value.value for name, value in materialization.metadata.items()}


def test_sync_tables(
    run: Run, landing: Path, warehouse: PostgresResource, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(SAMPLE_FOLDER / "orders.csv", landing)
    result = run("sync_tables_job")
    assert result.success
    printed = capfd.readouterr().out
    for name in ("customers", "orders", "products"):
        with (SAMPLE_FOLDER / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
            rows = [tuple(value or None for value in row) for row in list(csv.reader(stream))[1:]]
        stored = query(warehouse, f"SELECT * FROM raw.{name} ORDER BY 1")
        assert [tuple(map(_as_in_file, row)) for row in stored] == rows
        seen = metadata(result, f"{name}_table")
        assert seen["dagster/row_count"] == seen["inserted"] == len(rows)
        assert seen["bytes"] == (SAMPLE_FOLDER / f"{name}.csv").stat().st_size
        assert seen["file"].endswith(f"/landing/{name}.csv")
        assert seen["duration_s"] > 0
        assert seen["preview"].count("\n") == 6
        assert f"raw.{name}: {len(rows)} rows ({len(rows)} inserted" in printed
    assert_the_sample_data_is_consistent(warehouse)


def _as_in_file(value: Any) -> str | None:
    if isinstance(value, datetime):
        return str(value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    return None if value is None else str(value)


def assert_the_sample_data_is_consistent(warehouse: PostgresResource) -> None:
    orphans = query(
        warehouse,
        """
        SELECT order_id FROM raw.orders
        LEFT JOIN raw.customers USING (customer_id) LEFT JOIN raw.products USING (product_id)
        WHERE customers.name IS NULL OR products.name IS NULL
            OR ordered_at < registered_at OR shipped_at < ordered_at OR amount_cents <= 0
        """,
    )
    assert orphans == []


def test_one_bad_file_fails_its_own_table_only(
    run: Run, landing: Path, warehouse: PostgresResource
) -> None:
    assert run("sync_tables_job").success
    orders = (landing / "orders.csv").read_text(encoding="utf-8").splitlines()
    before = query(warehouse, "SELECT count(*), sum(amount_cents) FROM raw.orders")
    for number in range(7, 20):
        orders[number] = f"{number},1,1,many,100,2025-01-01T00:00:00Z,,"
    (landing / "orders.csv").write_text("\n".join(orders), encoding="utf-8")
    (landing / "products.csv").unlink()
    result = run("sync_tables_job")
    assert not result.success
    assert metadata(result, "customers_table")["unchanged"] == 200
    file = (landing / "orders.csv").as_uri()
    description, details = failure(result, "orders_table")
    assert description == (
        f'{file}, line 8, column quantity: invalid input syntax for type integer: "many"; this is '
        "the first of 13 bad rows among 600, and no more than 1.00% of the rows may be bad"
    )
    shown = details.pop("rejected_rows")
    assert shown.startswith("| line | column | value | reason | record |\n")
    assert shown.count("| quantity | many | invalid input syntax") == 10
    place = {"file": file, "line": 8, "column": "quantity", "value": "many"}
    assert details == {**place, "rejected": 13, "rows": 600}
    description, _ = failure(result, "products_table")
    assert description.endswith(
        "products.csv does not exist; the landing zone holds customers.csv, orders.csv"
    )
    assert query(warehouse, "SELECT count(*), sum(amount_cents) FROM raw.orders") == before
    assert query(warehouse, "SELECT count(*) FROM raw.products") == [(40,)]


def test_a_bad_row_among_many_is_put_aside(
    run: Run, landing: Path, warehouse: PostgresResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = (landing / "orders.csv").read_text(encoding="utf-8").splitlines()
    orders[7] = "7,1,1,many,100,2025-01-01T00:00:00Z,,"
    (landing / "orders.csv").write_text("\n".join(orders), encoding="utf-8")
    seen = metadata(run("sync_tables_job"), "orders_table")
    assert (seen["rows_in"], seen["dagster/row_count"], seen["rejected"]) == (600, 599, 1)
    assert seen["rows_per_s"] > 0
    assert "| 8 | quantity | many | invalid input syntax" in seen["rejected_rows"]
    statement = "SELECT line, column_name, value FROM raw.orders_rejected"
    assert query(warehouse, statement) == [(8, "quantity", "many")]

    for share, complaint in (("0", "line 8, column quantity: invalid"), ("1%", "is '1%'; it must")):
        monkeypatch.setenv("MAX_REJECTED_SHARE", share)
        description, _ = failure(run("sync_tables_job"), "orders_table")
        assert complaint in description


def test_new_columns_are_reported(run: Run, landing: Path) -> None:
    products = (landing / "products.csv").read_text(encoding="utf-8").splitlines()
    products = [f"{line},{'colour' if n == 0 else ''}" for n, line in enumerate(products)]
    (landing / "products.csv").write_text("\n".join(products), encoding="utf-8")
    result = run("sync_tables_job")
    assert metadata(result, "products_table")["new_columns"] == "colour"
    assert "new_columns" not in metadata(result, "orders_table")


def test_wrong_password(run: Run, warehouse: PostgresResource) -> None:
    stranger = PostgresResource(**(warehouse.model_dump() | {"password": "wr0ng"}))
    result = run("sync_tables_job", postgres=stranger)
    description, _ = failure(result, "orders_table")
    assert description.startswith(f"no connection to database {warehouse.database} on 127.0.0.1:")
    assert "password authentication failed" in description
    for event in result.get_step_failure_events():
        assert "wr0ng" not in str(event)


def test_sync_users(run: Run, warehouse: PostgresResource, httpserver: HTTPServer) -> None:
    for _ in range(2):
        httpserver.expect_ordered_request("/users").respond_with_data(status=503)
    httpserver.expect_ordered_request("/users").respond_with_json([ADA, BOB])
    result = run("sync_users_job", api=httpserver.url_for(""))
    assert result.success
    statement = (
        "SELECT id, name, address_city, address_geo_lat, company_catch_phrase "
        "FROM raw.users ORDER BY id"
    )
    ada, bob = (1, "Ada", "London", 51.5, "Weaves\talgebra"), (2, "", None, None, None)
    assert query(warehouse, statement) == [ada, bob]
    assert metadata(result, "users_in_postgres")["undeclared_fields"] == "karma"
    assert metadata(result, "api_users")["dagster/row_count"] == 2

    httpserver.clear()
    httpserver.expect_request("/users").respond_with_json([ADA | {"name": "Ada L."}])
    result = run("sync_users_job", api=httpserver.url_for(""))
    assert query(warehouse, statement) == [(1, "Ada L.", *ada[2:]), bob]
    assert metadata(result, "users_in_postgres")["updated"] == 1


def test_an_api_that_stays_down(
    run: Run, warehouse: PostgresResource, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/users").respond_with_data(status=503)
    result = run("sync_users_job", api=httpserver.url_for(""))
    description, details = failure(result, "api_users")
    url = httpserver.url_for("/users")
    assert description.startswith(f"GET {url}, page 1: failed after 5 attempts: status 503 ")
    assert details == {"url": url, "page": 1, "status": 503}
    retried = [event for event in result.all_events if event.is_step_up_for_retry]
    assert len(retried) == 3
    assert query(warehouse, "SELECT to_regclass('raw.users')") == [(None,)]


def test_a_user_that_cannot_be_stored(
    run: Run, warehouse: PostgresResource, httpserver: HTTPServer
) -> None:
    url = httpserver.url_for("")
    httpserver.expect_ordered_request("/users").respond_with_json([ADA])
    assert run("sync_users_job", api=url).success
    httpserver.expect_ordered_request("/users").respond_with_json([ADA | {"name": "New"}, {}])
    description, details = failure(run("sync_users_job", api=url), "users_in_postgres")
    assert description.startswith(f"{url}, record 2, column id: nothing is there")
    assert details["record"] == 2
    assert query(warehouse, "SELECT id, name FROM raw.users") == [(1, "Ada")]


def test_clean_up_of_rejected_rows(run: Run, landing: Path, warehouse: PostgresResource) -> None:
    orders = (landing / "orders.csv").read_text(encoding="utf-8").splitlines()
    for number in (7, 8):
        orders[number] = f"{number},1,1,many,100,2025-01-01T00:00:00Z,,"
    (landing / "orders.csv").write_text("\n".join(orders), encoding="utf-8")
    assert run("sync_tables_job").success
    rejected = "SELECT line FROM raw.orders_rejected ORDER BY line"
    assert query(warehouse, rejected) == [(8,), (9,)]
    aged = "UPDATE raw.orders_rejected SET rejected_at = now() - interval '91 days' WHERE line = 8"
    query(warehouse, f"{aged} RETURNING line")
    for deleted in (1, 0):
        result = run("clean_up_rejected_rows_job")
        assert result.output_for_node("delete_old_rejected_rows") == deleted
        assert query(warehouse, rejected) == [(9,)]

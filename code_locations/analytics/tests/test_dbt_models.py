"""dbt's models and tests, run as assets and checks in a real PostgreSQL."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import AssetCheckKey, AssetKey
from location_kit.postgres import PostgresResource

from analytics.dbt_models import models_of
from analytics.dbt_project import PROJECT, DbtCli, dagster_dbt
from analytics.definitions import defs

Execute = Callable[[str], None]
Query = Callable[[str], list[tuple[Any, ...]]]
Run = Callable[..., dg.ExecuteInProcessResult]
JOB = "regenerate_analytics_job"
STAGING = AssetKey(["staging", "stg_orders"])
DAYS = "SELECT day::text, orders, customers, revenue_cents FROM marts.revenue_by_day ORDER BY day"
USERS = """
    CREATE TABLE raw.users (
        id bigint, name text, username text, email text, address_city text, company_name text
    );
    GRANT SELECT ON raw.users TO PUBLIC;
"""


@pytest.fixture(autouse=True)
def settings(warehouse: PostgresResource, warm_dbt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the location's container has in its environment."""
    monkeypatch.setenv("WAREHOUSE_HOST", warehouse.host)
    monkeypatch.setenv("WAREHOUSE_PORT", str(warehouse.port))
    monkeypatch.setenv("WAREHOUSE_USER", warehouse.user)
    monkeypatch.setenv("WAREHOUSE_PASSWORD", warehouse.password)
    monkeypatch.setenv("WAREHOUSE_DB", warehouse.database)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def resources(warm_dbt: Path) -> dict[str, Any]:
    """The location's, with a dbt that starts at once."""
    own = defs.resources["dbt"]
    assert own.dbt_executable == str(Path(sys.executable).with_name("dbt"))
    dbt = DbtCli(
        project_dir=own.project_dir,
        dbt_executable=str(warm_dbt / "dbt"),
        global_config_flags=own.global_config_flags,
    )
    return {**defs.resources, "dbt": dbt}


@pytest.fixture
def run(instance: dg.DagsterInstance, resources: dict[str, Any]) -> Run:
    """Runs the job, or only these assets of it."""

    def execute(*only: str) -> dg.ExecuteInProcessResult:
        keys = [AssetKey(key.split("/")) for key in only]
        return defs.resolve_job_def(JOB).execute_in_process(
            instance=instance,
            # A selection has the location's own, and refuses others.
            resources=None if keys else resources,
            raise_on_error=False,
            asset_selection=keys or None,
        )

    return execute


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.get_step_failure_events()
    data = event.step_failure_data
    return (data.user_failure_data and data.user_failure_data.description) or str(data.error)


def failed_checks(result: dg.ExecuteInProcessResult) -> set[str]:
    return {one.check_name for one in result.get_asset_check_evaluations() if not one.passed}


@pytest.mark.usefixtures("raw_tables")
def test_from_raw_tables_to_marts(
    run: Run,
    instance: dg.DagsterInstance,
    query: Query,
    warehouse: PostgresResource,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = {path: path.stat().st_mtime for path in PROJECT.project_dir.rglob("*")}
    result = run()
    assert result.success
    assert query(DAYS) == [("2026-01-01", 1, 1, 250), ("2026-01-02", 2, 2, 9_000_000_500)]
    product = "SELECT product_id, orders, revenue_cents FROM marts.product_performance ORDER BY 1"
    assert query(product) == [(1, 3, 9_000_000_750), (2, 0, 0)]
    customer = "SELECT customer_id, orders, revenue_cents FROM marts.my_analytics_asset ORDER BY 1"
    assert query(customer) == [(1, 2, 750), (2, 1, 9_000_000_000), (3, 0, 0)]
    assert query("SELECT email FROM staging.stg_customers WHERE customer_id = 1") == [
        ("ada@example.com",)
    ]
    # These schemas and no others; and nothing half made.
    relations = query(
        "SELECT nspname, relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE relkind IN ('r', 'v') AND nspname !~ '^(pg_|information_schema|raw)' ORDER BY 1, 2"
    )
    assert [f"{schema}.{name}" for schema, name in relations] == [
        "marts.my_analytics_asset",
        "marts.product_performance",
        "marts.revenue_by_day",
        "staging.stg_customers",
        "staging.stg_orders",
        "staging.stg_products",
    ]
    # What the UI shows.
    (made,) = [
        event
        for event in result.get_asset_materialization_events()
        if event.asset_key == AssetKey(["marts", "revenue_by_day"])
    ]
    assert made.materialization.metadata["dagster/row_count"].value == 2
    checks = {
        (one.asset_key.path[-1], one.check_name) for one in result.get_asset_check_evaluations()
    }
    assert ("stg_orders", "orders_are_in_range") in checks
    assert ("stg_orders", "unique_stg_orders_order_id") in checks
    assert ("my_analytics_asset", "every_order_is_counted") in checks
    assert not failed_checks(result)
    # The project's folder is read-only in a container; temporary files are gone.
    assert {path: path.stat().st_mtime for path in PROJECT.project_dir.rglob("*")} == before
    assert not list(tmp_path.glob("dbt-*"))
    everything = "".join(capfd.readouterr()) + "".join(
        str(entry) for entry in instance.all_logs(result.run_id)
    )
    assert "OK created sql view model staging.stg_orders" in everything
    assert warehouse.password not in everything


@pytest.mark.usefixtures("raw_tables")
def test_a_failing_test_is_a_failing_check_and_stops_what_follows(
    run: Run, as_owner: Execute, query: Query
) -> None:
    as_owner(
        "UPDATE raw.orders SET quantity = 0 WHERE order_id = 1;"
        "INSERT INTO raw.orders (order_id, customer_id, product_id, amount_cents, ordered_at)"
        " VALUES (9, 99, 1, 1, now())"
    )
    result = run()
    assert not result.success
    evaluations = {one.check_name: one for one in result.get_asset_check_evaluations()}
    assert {name for name, one in evaluations.items() if not one.passed} == {
        "orders_are_in_range",
        "relationships_stg_orders_customer_id__customer_id__ref_stg_customers_",
    }
    assert evaluations["orders_are_in_range"].severity is dg.AssetCheckSeverity.ERROR
    # Tables are loaded one after another, so this alone stops nothing.
    warning = evaluations["relationships_stg_orders_customer_id__customer_id__ref_stg_customers_"]
    assert warning.severity is dg.AssetCheckSeverity.WARN
    assert "orders_are_in_range" in failure(result)
    made = {event.asset_key.path[-1] for event in result.get_asset_materialization_events()}
    assert {"stg_orders", "stg_customers"} <= made
    assert not made & {"revenue_by_day", "product_performance", "my_analytics_asset"}
    assert query("SELECT to_regclass('marts.revenue_by_day')") == [(None,)]


def test_missing_raw_tables_name_the_jobs_that_load_them(
    run: Run, query: Query, as_owner: Execute
) -> None:
    assert failure(run()) == (
        "raw.customers and raw.orders and raw.products not in the warehouse yet; "
        "run elt's sync_tables_job first"
    )
    as_owner(
        "CREATE TABLE raw.customers (customer_id bigint); GRANT SELECT ON raw.customers TO PUBLIC"
    )
    assert failure(run("marts/product_performance", "staging/stg_orders")).startswith(
        "raw.orders not in the warehouse"
    )
    assert query("SELECT to_regclass('staging.stg_customers')") == [(None,)]


def test_no_warehouse_is_one_clear_failure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_PASSWORD", "wr0ng")
    reason = failure(run())
    assert "password authentication failed" in reason
    assert "wr0ng" not in reason


@pytest.mark.usefixtures("raw_tables")
def test_an_added_file_is_an_added_asset(
    instance: dg.DagsterInstance,
    query: Query,
    as_owner: Execute,
    larger: Path,
    resources: dict[str, Any],
) -> None:
    as_owner(USERS)
    project = dagster_dbt.DbtProject(larger / "dbt")
    definitions = dg.Definitions([models_of(project)], resources=resources)
    spec = definitions.resolve_asset_graph().get(AssetKey(["marts", "added"]))
    assert spec.parent_keys == {STAGING}
    assert spec.group_name == "marts"
    assert spec.freshness_policy is not None
    # A model that fails, and what follows from it, are not made; all others are.
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, raise_on_error=False
    )
    assert 'column "nothing" does not exist' in failure(result)
    assert {
        event.asset_key.to_user_string() for event in result.get_asset_materialization_events()
    } == {
        *(f"staging/stg_{name}" for name in ("customers", "orders", "products", "users")),
        *(f"marts/{name}" for name in ("revenue_by_day", "product_performance")),
        "marts/added",
    }
    # These two alone, the second time, into tables that are there: by way of a temporary one, and
    # in place of the old one. What is gone from the source is gone from the latter.
    as_owner("DELETE FROM raw.orders WHERE order_id < 3")
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        raise_on_error=False,
        asset_selection=[AssetKey(["marts", "added"]), AssetKey(["marts", "revenue_by_day"])],
    )
    assert not result.get_step_failure_events()
    assert query("SELECT count(*) FROM marts.added") == [(4,)]
    assert query(DAYS) == [("2026-01-02", 1, 1, 9_000_000_000)]


def test_tests_are_checks_of_the_model_that_they_read() -> None:
    keys = defs.resolve_asset_graph().asset_check_keys
    assert AssetCheckKey(STAGING, "orders_are_in_range") in keys
    assert AssetCheckKey(STAGING, "not_null_stg_orders_amount_cents") in keys

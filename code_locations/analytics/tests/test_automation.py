"""When elt's tables change, what is requested: once for each change, and all in one run."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.definitions.freshness_evaluator import FRESHNESS_EVALUATORS_BY_POLICY_TYPE
from dagster._core.loader import LoadingContextForTest
from dagster._core.test_utils import freeze_time

from analytics.definitions import defs

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-02-01")
SHOP = {
    "staging/stg_customers",
    "staging/stg_orders",
    "staging/stg_products",
    "marts/product_performance",
    "marts/revenue_by_day",
    "my_analytics_asset",
}


@dg.asset
def customers_table() -> None: ...


@dg.asset(partitions_def=DAYS)
def orders_table() -> None: ...


@dg.asset
def products_table() -> None: ...


@dg.asset
def users_in_postgres() -> None: ...


TABLES = [customers_table, orders_table, products_table, users_in_postgres]
# Both locations at once, as the daemon sees them.
WORKSPACE = dg.Definitions.merge(dg.Definitions(TABLES), defs)


class Daemon:
    """Evaluates the conditions, one evaluation after another."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: dg.AutomationConditionCursor | None = None
        self.requested: set[str] = set()

    def evaluate(self) -> set[str]:
        """Keys of what is requested in this evaluation."""
        result = dg.evaluate_automation_conditions(WORKSPACE, self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        keys = WORKSPACE.resolve_asset_graph().materializable_asset_keys
        return {key.to_user_string() for key in keys if result.get_num_requested(key)}

    def load(self, table: str, content: str, day: str | None = None) -> None:
        """A table is loaded, by a run that is over."""
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization(table, partition=day, tags={"dagster/data_version": content})
        )

    def build(self, *keys: str) -> None:
        """Models are made, as by a run of another origin."""
        for key in keys:
            self.instance.report_runless_asset_event(dg.AssetMaterialization(key.split("/")))


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """All tables are loaded, all models are made, and the daemon knows."""
    with dg.DagsterInstance.ephemeral() as instance:
        daemon = Daemon(instance)
        for table in ("customers_table", "products_table", "users_in_postgres"):
            daemon.load(table, "old")
        for day in DAYS.get_partition_keys():
            daemon.load("orders_table", "old", day)
        daemon.build(*SHOP, "staging/stg_users")
        assert daemon.evaluate() == set()
        assert daemon.evaluate() == set()
        yield daemon


def test_a_change_is_followed_once(daemon: Daemon) -> None:
    daemon.load("customers_table", "new")
    followers = {"staging/stg_customers", "my_analytics_asset"}
    assert daemon.evaluate() == followers
    assert daemon.evaluate() == set()
    daemon.build(*followers)
    assert daemon.evaluate() == set()
    daemon.load("customers_table", "newer")
    assert daemon.evaluate() == followers


def test_loaded_again_with_the_same_content_is_no_change(daemon: Daemon) -> None:
    daemon.load("customers_table", "old")
    daemon.load("orders_table", "old", "2026-01-03")
    assert daemon.evaluate() == set()
    assert daemon.evaluate() == set()


def test_one_changed_day_is_a_change(daemon: Daemon) -> None:
    daemon.load("orders_table", "new", "2026-01-03")
    daemon.load("orders_table", "old", "2026-01-04")
    assert daemon.evaluate() == SHOP - {"staging/stg_customers", "staging/stg_products"}
    assert daemon.evaluate() == set()


def test_the_first_load_is_a_change() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        daemon = Daemon(instance)
        assert daemon.evaluate() == set()
        daemon.load("customers_table", "first")
        daemon.load("orders_table", "first", "2026-01-03")
        assert daemon.evaluate() == SHOP - {"staging/stg_products", "marts/product_performance"}


def test_several_tables_of_one_run_are_followed_by_one(daemon: Daemon) -> None:
    job = dg.define_asset_job("sync_tables_job", [customers_table, products_table])
    run = daemon.instance.create_run_for_job(
        dg.Definitions(TABLES, jobs=[job]).resolve_job_def("sync_tables_job"),
        status=dg.DagsterRunStatus.STARTED,
    )
    daemon.load("customers_table", "new")
    assert daemon.evaluate() == set()
    daemon.load("products_table", "new")
    assert daemon.evaluate() == set()
    daemon.instance.report_run_canceled(run)
    assert daemon.evaluate() == SHOP - {"staging/stg_orders", "marts/revenue_by_day"}
    assert daemon.evaluate() == set()


@pytest.mark.parametrize("hour_first", [True, False])
def test_the_hourly_job_handles_changes_too(daemon: Daemon, hour_first: bool) -> None:
    """A change and the hourly job between two evaluations: what counts is which came last."""
    if hour_first:
        daemon.build(*SHOP)
        daemon.load("products_table", "new")
        assert daemon.evaluate() == {"staging/stg_products", "marts/product_performance"}
    else:
        daemon.load("products_table", "new")
        daemon.build(*SHOP)
        assert daemon.evaluate() == set()
    # Handled for good: the next load without a change is not taken for it.
    daemon.load("products_table", "new")
    assert daemon.evaluate() == set()


def test_the_hourly_job_alone_requests_nothing(daemon: Daemon) -> None:
    daemon.build(*SHOP)
    assert daemon.evaluate() == set()


def test_tables_that_nobody_reads_for_marts_are_followed_too(daemon: Daemon) -> None:
    daemon.load("users_in_postgres", "new")
    assert daemon.evaluate() == {"staging/stg_users"}


def test_it_runs_by_itself() -> None:
    (sensor,) = defs.get_repository_def().sensor_defs
    assert isinstance(sensor, dg.AutomationConditionSensorDefinition)
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING


@pytest.mark.parametrize(
    ("minutes", "state"),
    [(0, "PASS"), (130, "PASS"), (140, "WARN"), (200, "FAIL")],
)
def test_a_table_that_is_not_made_anew_goes_stale(minutes: int, state: str) -> None:
    """The hourly job may be missed once; after that the UI says so."""
    key = dg.AssetKey("my_analytics_asset")
    node = defs.resolve_asset_graph().get(key)
    evaluator = FRESHNESS_EVALUATORS_BY_POLICY_TYPE[type(node.freshness_policy)]()
    with dg.DagsterInstance.ephemeral() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(key))
        with freeze_time(datetime.now(UTC) + timedelta(minutes=minutes)):
            found = asyncio.run(evaluator.evaluate_freshness(LoadingContextForTest(instance), node))
    assert found.value == state

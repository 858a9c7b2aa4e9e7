"""A store or warehouse that is away for a while costs a pause, not a load."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import psycopg2
import pytest
from fruit import FRUIT, OLD
from location_kit.postgres import PostgresResource
from location_kit.testing import query
from order_files import failure, load_asset, order, stored, write
from shop import DEFINITIONS, orders_table

from postgres_loader import LandingZoneResource, assets
from postgres_loader.errors import BadInput, LandingZoneError, LandingZoneUnavailable, LoaderError
from postgres_loader.landing_load import Outcome
from postgres_loader.loading import LoadResult
from postgres_loader.outages import may_pass

Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def run(warehouse: PostgresResource, instance: dg.DagsterInstance, tmp_path: Path) -> Run:
    def run_orders(
        landing: Path = tmp_path, day: str | None = None, postgres: PostgresResource = warehouse
    ) -> dg.ExecuteInProcessResult:
        return load_asset(orders_table, landing, postgres, instance=instance, partition_key=day)

    return run_orders


def requested(instance: dg.DagsterInstance, landing: Path) -> list[dg.RunRequest]:
    """What the sensor asks for because of earlier runs; files are not its business here."""
    repository = DEFINITIONS.get_repository_def()
    context = dg.build_sensor_context(
        instance=instance,
        repository_def=repository,
        resources={"landing_zone": LandingZoneResource(uri=landing.as_uri())},
    )
    data = repository.get_sensor_def("landing_zone_sensor").evaluate_tick(context)
    return list(data.run_requests or [])


def attempts(result: dg.ExecuteInProcessResult) -> int:
    return 1 + len([e for e in result.all_events if e.event_type_value == "STEP_RESTARTED"])


def test_a_session_that_is_ended_while_it_loads_is_followed_by_another(
    run: Run, tmp_path: Path, warehouse: PostgresResource
) -> None:
    write(tmp_path / "orders.csv", order(1, "2025-01-01T00:00:00Z"))
    assert run().success
    query(
        warehouse,
        """
        CREATE SEQUENCE raw.attempts;
        CREATE FUNCTION raw.end_first() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF nextval('raw.attempts') = 1 THEN
                    PERFORM pg_terminate_backend(pg_backend_pid());
                END IF;
                RETURN NULL;
            END $$;
        CREATE TRIGGER end_first AFTER UPDATE ON raw.orders
            FOR EACH STATEMENT EXECUTE FUNCTION raw.end_first();
        SELECT 1
        """,
    )
    write(tmp_path / "orders.csv", order(1, "2025-01-01T00:00:00Z", 7))
    result = run()
    assert (result.success, attempts(result)) == (True, 2)
    assert stored(warehouse) == {1: 7}


def test_bad_input_is_read_once_and_not_asked_for_again(
    run: Run, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    write(tmp_path / "orders.csv", order(1, "never"))
    result = run()
    assert (result.success, attempts(result)) == (False, 1)
    assert requested(instance, tmp_path) == []


@pytest.mark.parametrize("day", [None, "2025-01-01"])
def test_a_store_that_stays_away_is_asked_again_by_another_run(
    run: Run, tmp_path: Path, instance: dg.DagsterInstance, day: str | None
) -> None:
    write(tmp_path / "orders.csv", order(1, "2025-01-01T00:00:00Z"))
    result = run(tmp_path / "away", day)
    assert "is not a folder that exists" in failure(result)
    assert attempts(result) == 1 + assets.RETRIES.max_retries
    (request,) = requested(instance, tmp_path)
    assert (request.asset_selection, request.partition_key) == ([orders_table.key], day)
    assert request.run_key == f"instead of {result.run_id}"
    # As the daemon does; the new run fails as well, so that one follows it in its turn.
    instance.add_run_tags(run(tmp_path / "away", day).run_id, {"dagster/run_key": request.run_key})
    (second,) = requested(instance, tmp_path)
    assert second.run_key not in (None, request.run_key)
    instance.add_run_tags(run(tmp_path, day).run_id, {"dagster/run_key": second.run_key})
    assert requested(instance, tmp_path) == []


def test_a_warehouse_that_refuses_connections_is_asked_again(
    run: Run, tmp_path: Path, instance: dg.DagsterInstance, warehouse: PostgresResource
) -> None:
    write(tmp_path / "orders.csv", order(1, "2025-01-01T00:00:00Z"))
    nobody = PostgresResource(**(warehouse.model_dump() | {"port": 9}))
    result = run(postgres=nobody)
    assert failure(result).startswith("no connection to database")
    assert attempts(result) == 1 + assets.RETRIES.max_retries
    assert len(requested(instance, tmp_path)) == 1


def test_a_wrong_password_is_tried_once(
    run: Run, tmp_path: Path, instance: dg.DagsterInstance, warehouse: PostgresResource
) -> None:
    write(tmp_path / "orders.csv", order(1, "2025-01-01T00:00:00Z"))
    stranger = PostgresResource(**(warehouse.model_dump() | {"password": "wr0ng"}))
    assert attempts(run(postgres=stranger)) == 1
    assert requested(instance, tmp_path) == []


def test_days_that_are_loaded_before_an_outage_are_reported(
    run: Run, tmp_path: Path, warehouse: PostgresResource, instance: dg.DagsterInstance
) -> None:
    write(tmp_path / "orders.csv", order(1, "2025-01-01T00:00:00Z"))
    assert run().success
    query(
        warehouse,
        """
        CREATE FUNCTION raw.end_all() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
        CREATE TRIGGER end_all AFTER INSERT ON raw.orders
            FOR EACH ROW WHEN (NEW.order_id = 3) EXECUTE FUNCTION raw.end_all();
        SELECT 1
        """,
    )
    write(tmp_path / "orders_2025-01-02.csv", order(2, "2025-01-02T00:00:00Z"))
    write(tmp_path / "orders_2025-01-03.csv", order(3, "2025-01-03T00:00:00Z"))
    assert not run().success
    assert instance.get_materialized_partitions(orders_table.key) == {"2025-01-01", "2025-01-02"}


def test_one_failure_of_several_that_may_pass_is_worth_another_try() -> None:
    passing, lasting = LandingZoneUnavailable("away"), BadInput("file:///a", "bad")
    assert Outcome(failures=[lasting, passing]).failure().may_pass
    assert not Outcome(failures=[lasting, LandingZoneError("no")]).failure().may_pass


def test_a_lock_that_another_load_holds_may_be_let_go(
    warehouse: PostgresResource, load_csv: Callable[..., LoadResult]
) -> None:
    with warehouse.get_connection() as holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('raw.fruit', 0))")
        with pytest.raises(LoaderError, match="another load has been running") as caught:
            load_csv(OLD, FRUIT, lock_timeout_s=1)
        assert caught.value.may_pass


def raising(code: str) -> str:
    return f"DO $$ BEGIN RAISE EXCEPTION 'said' USING ERRCODE = '{code}'; END $$"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT pg_terminate_backend(pg_backend_pid())", True),
        # Lost connection, deadlock, too many connections, lock timeout, crash, starting up.
        *((raising(code), True) for code in ("08006", "40P01", "53300", "55P03", "57P02", "57P03")),
        # Division by zero, disk full, cancelled by a person, no right, no such table.
        *((raising(code), False) for code in ("22012", "53100", "57014", "42501", "42P01")),
    ],
)
def test_errors_that_may_pass(warehouse: PostgresResource, statement: str, expected: bool) -> None:
    with (
        pytest.raises(psycopg2.Error) as caught,
        warehouse.get_connection() as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert may_pass(caught.value) is expected

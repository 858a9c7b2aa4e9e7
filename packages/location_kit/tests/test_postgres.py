"""Connections: what they see, and that they end as promised."""

import re
from collections.abc import Iterator

import dagster as dg
import psycopg2
import pytest

from location_kit.postgres import PostgresResource


@pytest.fixture
def table(warehouse: PostgresResource) -> Iterator[str]:
    with warehouse.get_connection() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE things (n int)")
    yield "things"


def count(warehouse: PostgresResource) -> int:
    with warehouse.get_connection() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM raw.things")
        return int(cursor.fetchall()[0][0])


def test_commits_and_closes(warehouse: PostgresResource, table: str) -> None:
    with warehouse.get_connection() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO things VALUES (1)")
    assert connection.closed
    assert count(warehouse) == 1


def test_rolls_back_and_closes(warehouse: PostgresResource, table: str) -> None:
    with (
        pytest.raises(KeyError),
        warehouse.get_connection() as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("INSERT INTO things VALUES (1)")
        raise KeyError
    assert connection.closed
    assert count(warehouse) == 0


def test_search_path_outlives_a_rollback(warehouse: PostgresResource) -> None:
    with warehouse.get_connection() as connection, connection.cursor() as cursor:
        connection.rollback()
        cursor.execute("SELECT current_schema()")
        assert cursor.fetchone() == ("raw",)


def test_a_lost_server_is_the_error_that_is_seen(warehouse: PostgresResource) -> None:
    with (
        pytest.raises(psycopg2.OperationalError, match="server closed the connection"),
        warehouse.get_connection() as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert connection.closed


@pytest.mark.parametrize(
    ("change", "reason", "may_pass"),
    [
        ({"password": "wr0ng"}, "password authentication failed", False),
        ({"port": 9}, "Connection refused|server running", True),
        ({"host": "no-such-host.invalid"}, "could not translate host name", True),
        ({"database": "nope"}, 'database "nope" does not exist', False),
    ],
)
def test_no_connection_is_one_clear_failure(
    warehouse: PostgresResource, change: dict[str, object], reason: str, may_pass: bool
) -> None:
    broken = PostgresResource(**(warehouse.model_dump() | change))
    with pytest.raises(dg.Failure) as caught, broken.get_connection():
        pass
    description = str(caught.value.description)
    assert description.startswith(
        f"no connection to database {broken.database} on {broken.host}:{broken.port} "
        f"as {broken.user}: "
    )
    assert re.search(reason, description)
    assert broken.password not in description
    assert "\n" not in description
    assert caught.value.__suppress_context__
    assert caught.value.allow_retries is may_pass

"""Loads with readers, other loads and failures in their way: whole or not at all."""

import contextlib
import io
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from fruit import FRUIT, HEADER, OLD, OLD_ROWS, query, rows, tables
from location_kit.postgres import PostgresResource

from postgres_loader.errors import LandingZoneError, LoaderError, WarehouseError
from postgres_loader.loading import LoadResult, load
from postgres_loader.sources import CsvSource

Load = Callable[..., LoadResult]


class Stalling(io.RawIOBase):
    """A stream that stops before its last byte until it is told to go on, or fails there."""

    def __init__(self, content: bytes, failure: Exception | None = None) -> None:
        self.parts = [content[:-1], content[-1:]]
        self.failure = failure
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def read(self, size: int = -1, /) -> bytes:
        if len(self.parts) == 1:
            self.reached.set()
            assert self.go_on.wait(30)
            if self.failure:
                raise self.failure
        return self.parts.pop(0) if self.parts else b""


@pytest.fixture
def start_load(warehouse: PostgresResource) -> Iterator[Callable[[Stalling], threading.Thread]]:
    """Starts a load in a thread; its outcome is `thread.outcome`."""
    threads = []

    def start(stream: Stalling, lock_timeout_s: int = 30) -> threading.Thread:
        def run() -> None:
            @contextlib.contextmanager
            def open_source() -> Iterator[CsvSource]:
                yield CsvSource("file:///fruit.csv", stream, FRUIT)

            try:
                with warehouse.get_connection() as connection:
                    options = {"missing": "delete", "lock_timeout_s": lock_timeout_s}
                    thread.outcome = load(connection, "raw", FRUIT, open_source, **options)
            except Exception as error:
                thread.outcome = error

        thread = threading.Thread(target=run)
        thread.outcome = None  # type: ignore[attr-defined]
        thread.start()
        threads.append((thread, stream))
        return thread

    yield start
    for thread, stream in threads:
        stream.go_on.set()
        thread.join(30)


def finish(thread: Any, stream: Stalling) -> Any:
    stream.go_on.set()
    thread.join(30)
    assert not thread.is_alive()
    return thread.outcome


def test_readers_see_the_old_rows_or_the_new(
    warehouse: PostgresResource, load_csv: Load, start_load: Any
) -> None:
    load_csv(OLD)
    with warehouse.get_connection() as reader, reader.cursor() as cursor:
        reader.set_session(isolation_level="REPEATABLE READ", readonly=True)
        cursor.execute("SELECT 1")  # takes the snapshot, before it has looked at the table
        stream = Stalling(HEADER + b"9,plum,40,\n")
        thread = start_load(stream)
        assert stream.reached.wait(30)
        assert rows(warehouse) == OLD_ROWS
        assert finish(thread, stream).rows == 1
        assert rows(warehouse) == [(9, "plum", 40)]
        cursor.execute("SELECT id, name, weight_g FROM raw.fruit ORDER BY id")
        assert cursor.fetchall() == OLD_ROWS


def test_two_loads_at_once_follow_one_another(
    warehouse: PostgresResource, load_csv: Load, start_load: Any
) -> None:
    first = Stalling(HEADER + b"1,first,1,\n")
    first_thread = start_load(first)
    assert first.reached.wait(30)
    second = Stalling(HEADER + b"1,second,1,\n2,second,2,\n")
    second.go_on.set()
    second_thread = start_load(second)
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    deadline = threading.Event()
    for _ in range(300):
        if query(warehouse, waiting) == [(1,)]:
            break
        deadline.wait(0.02)
    assert not second.reached.is_set()  # it has not opened its file
    assert finish(first_thread, first).inserted == 1
    outcome = finish(second_thread, second)
    assert (outcome.inserted, outcome.updated) == (1, 1)
    assert rows(warehouse) == [(1, "second", 1), (2, "second", 2)]


def test_a_load_does_not_wait_for_ever(load_csv: Load, start_load: Any) -> None:
    stream = Stalling(OLD)
    thread = start_load(stream)
    assert stream.reached.wait(30)
    with pytest.raises(WarehouseError, match=r"raw.fruit: another load .* more than 1 s"):
        load_csv(OLD, lock_timeout_s=1)
    assert finish(thread, stream).rows == 2


@pytest.mark.parametrize("failure", [LandingZoneError("the store has gone"), OSError("I/O error")])
def test_a_source_that_breaks_off_changes_nothing(
    warehouse: PostgresResource, load_csv: Load, start_load: Any, failure: Exception
) -> None:
    load_csv(OLD)
    stream = Stalling(HEADER + b"9,plum,40,\n", failure)
    assert finish(start_load(stream), stream) is failure
    assert rows(warehouse) == OLD_ROWS
    assert tables(warehouse) == ["fruit"]


def test_a_connection_lost_in_the_middle_changes_nothing(
    warehouse: PostgresResource, load_csv: Load, start_load: Any
) -> None:
    load_csv(OLD)
    stream = Stalling(HEADER + b"9,plum,40,\n")
    thread = start_load(stream)
    assert stream.reached.wait(30)
    query(
        warehouse,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND usename = current_user",
    )
    outcome = finish(thread, stream)
    assert isinstance(outcome, LoaderError | psycopg2.Error)
    assert rows(warehouse) == OLD_ROWS
    assert tables(warehouse) == ["fruit"]
    assert load_csv(OLD).rows == 2

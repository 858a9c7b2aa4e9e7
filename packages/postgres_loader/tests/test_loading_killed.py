"""Processes that are killed in the middle of a load: what was there stays, and a rerun is whole."""

import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from fruit import HEADER, OLD, OLD_ROWS, query, rows, tables
from loader_process import PROCESSES, TOLERANT, load_fruit
from location_kit.postgres import PostgresResource

from postgres_loader.loading import LoadResult

Load = Callable[..., LoadResult]
Start = Callable[[Path | Connection], BaseProcess]
NEW = HEADER + b"2,fig,31,\n3,kiwi,5,\n"
NEW_ROWS = [(2, "fig", 31), (3, "kiwi", 5)]
BAD = NEW + b"4,plum,many,\n"
OTHERS = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = current_user"


@pytest.fixture
def start(warehouse: PostgresResource) -> Iterator[Start]:
    """Starts a load of the given file in a process of its own."""
    processes = []

    def run(file: Path | Connection) -> BaseProcess:
        arguments = (warehouse.model_dump_json(), file)
        processes.append(PROCESSES.Process(target=load_fruit, args=arguments))
        processes[-1].start()
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.join(30)


def until(warehouse: PostgresResource, statement: str, expected: Any) -> None:
    pause = threading.Event()
    for _ in range(1500):
        if query(warehouse, statement) == [(expected,)]:
            return
        pause.wait(0.02)
    raise AssertionError(f"{statement} has not become {expected}")


def test_killed_in_the_first_load(
    warehouse: PostgresResource, load_csv: Load, start: Start
) -> None:
    # The load stalls in the middle of the file for as long as the pipe is open.
    reader, writer = PROCESSES.Pipe(duplex=False)
    process = start(reader)
    reader.close()
    with open(writer.fileno(), "wb", closefd=False) as stream:
        # Enough for both sessions to be in the middle of their COPY.
        stream.write(OLD + b"".join(b"%d,fig,1,\n" % n for n in range(3, 150_000)))
    until(warehouse, f"SELECT count(*) {OTHERS} AND query LIKE 'COPY%'", 2)
    process.kill()
    process.join(30)
    writer.close()
    until(warehouse, f"SELECT count(*) {OTHERS}", 0)
    assert tables(warehouse) == ["fruit__loading"]
    assert query(warehouse, "SELECT count(*) FROM raw.fruit__loading") == [(0,)]
    load_csv(OLD)
    assert rows(warehouse) == OLD_ROWS
    assert tables(warehouse) == ["fruit"]


@pytest.mark.parametrize("content", [NEW, BAD], ids=["merge", "merge after bad rows"])
def test_killed_in_the_merge(
    warehouse: PostgresResource,
    load_csv: Load,
    start: Start,
    tmp_path: Path,
    content: bytes,
) -> None:
    load_csv(OLD)
    # Rows are updated, and those that are new or missing are not looked at yet.
    query(
        warehouse,
        """
        CREATE FUNCTION raw.wait() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END';
        CREATE TRIGGER wait AFTER UPDATE ON raw.fruit
            FOR EACH STATEMENT EXECUTE FUNCTION raw.wait();
        SELECT 1
        """,
    )
    file = tmp_path / "fruit.csv"
    file.write_bytes(content)
    with warehouse.get_connection() as holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(42)")
        process = start(file)
        until(
            warehouse,
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted",
            1,
        )
        assert rows(warehouse) == OLD_ROWS
        process.kill()
        process.join(30)
    until(warehouse, f"SELECT count(*) {OTHERS}", 0)
    assert rows(warehouse) == OLD_ROWS
    assert tables(warehouse) == ["fruit"]
    for _ in range(2):
        load_csv(content, TOLERANT)
        assert rows(warehouse) == NEW_ROWS
    kept = {"fruit", "fruit_rejected"} if content == BAD else {"fruit"}
    assert set(tables(warehouse)) == kept


def test_two_processes_at_once(
    warehouse: PostgresResource,
    load_csv: Load,
    start: Start,
    tmp_path: Path,
) -> None:
    file = tmp_path / "fruit.csv"
    file.write_bytes(BAD)
    processes = [start(file) for _ in range(2)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert rows(warehouse) == NEW_ROWS
    assert query(warehouse, "SELECT line FROM raw.fruit_rejected") == [(4,)]
    assert tables(warehouse) == ["fruit", "fruit_rejected"]

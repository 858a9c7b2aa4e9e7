"""Long streams, which two sessions load together."""

import contextlib
import dataclasses
import functools
import io
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from fruit import FRUIT, HEADER, OLD, OLD_ROWS, parquet, query, rows, tables
from location_kit.postgres import PostgresResource
from psycopg2 import sql

from postgres_loader import filling
from postgres_loader.dealing import Reader
from postgres_loader.errors import BadInput, LoaderError
from postgres_loader.loading import LoadResult, load
from postgres_loader.sources import CsvSource

Load = Callable[..., LoadResult]
Fruit = tuple[int, str, int | None]
# What no session may take for the end of a record.
NAME = 'fig, "the\nbig"\r\none '


def fruits(count: int, name: str) -> list[Fruit]:
    return [(n, f"{name}{n}", n % 7 or None) for n in range(count)]


# Long names make it several chunks; a row costs as much time as its length.
EXPECTED = fruits(1_200, NAME + "🍎" * 500)
# More than a batch of Parquet, of 16,384 rows: one for each session.
SHORT = fruits(20_000, NAME + "🍎" * 20)


@functools.cache
def as_csv(extra: str = "") -> bytes:
    lines = (
        '{},"{}",{},\n'.format(n, name.replace('"', '""'), "" if weight is None else weight)
        for n, name, weight in EXPECTED
    )
    return HEADER + "".join(lines).encode() + extra.encode()


def as_jsonl() -> bytes:
    named = (dict(zip(FRUIT.column_names, (*row, None), strict=True)) for row in EXPECTED)
    return "\n".join(map(json.dumps, named)).encode()


def as_parquet() -> bytes:
    ids, names, weights = zip(*SHORT, strict=True)
    columns = {"id": ids, "name": names, "weight_g": weights, "picked_at": [None] * len(SHORT)}
    return parquet(columns, row_group_size=1000)


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the first session wait until the second one has a part of the stream, too."""
    read, taken = Reader.read, threading.Event()

    def wait(reader: Reader, size: int = -1, /) -> bytes:
        if threading.current_thread() is threading.main_thread():
            assert taken.wait(60)
            return read(reader, size)
        try:
            return read(reader, size)
        finally:
            taken.set()

    monkeypatch.setattr(Reader, "read", wait)


def sessions(warehouse: PostgresResource) -> int:
    """How many transactions the rows of raw.fruit are of."""
    [(number,)] = query(warehouse, "SELECT count(DISTINCT xmin::text) FROM raw.fruit")
    return int(number)


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_all_rows_arrive_once(warehouse: PostgresResource, load_file: Load, suffix: str) -> None:
    expected = SHORT if suffix == "parquet" else EXPECTED
    content = {"csv": as_csv, "jsonl": as_jsonl, "parquet": as_parquet}[suffix]()
    result = load_file(f"fruit.{suffix}", content)
    assert (result.rows, result.inserted) == (len(expected), len(expected))
    assert rows(warehouse) == expected
    assert sessions(warehouse) == 2
    assert tables(warehouse) == ["fruit"]
    again = load_file(f"fruit.{suffix}", content)
    assert (again.rows, again.changed) == (len(expected), False)
    assert tables(warehouse) == ["fruit"]


@pytest.mark.usefixtures("both")
def test_it_is_the_table_that_one_session_makes(
    warehouse: PostgresResource, load_csv: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = """
        SELECT attname, atttypid::regtype::text, attnotnull, col_description(attrelid, attnum),
            obj_description(attrelid), relpersistence::text, pg_get_constraintdef(con.oid)
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
            JOIN pg_constraint AS con ON conrelid = attrelid AND contype = 'p'
        WHERE attrelid = 'raw.fruit'::regclass AND attnum > 0 ORDER BY attnum
    """
    content = as_csv()
    load_csv(content)
    assert sessions(warehouse) == 2
    by_two = query(warehouse, shape), rows(warehouse)
    query(warehouse, "DROP TABLE raw.fruit; SELECT 1")
    monkeypatch.setattr(filling, "SHARED_FROM_BYTES", len(content))
    load_csv(content)
    assert sessions(warehouse) == 1
    assert (query(warehouse, shape), rows(warehouse)) == by_two


@pytest.mark.parametrize("before", [None, OLD], ids=["first load", "merge"])
@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("90000,plum,many,\n", 'invalid input syntax for type integer: "many"'),
        ("7,plum,1,\n", "key 7 is there twice"),
        ('90000,"plum,1,\n', "unterminated CSV quoted field"),
        ("\\.\n", "would end the load"),
    ],
)
def test_bad_rows_leave_all_as_it_was(
    warehouse: PostgresResource, load_csv: Load, before: bytes | None, extra: str, said: str
) -> None:
    if before:
        load_csv(before)
    with pytest.raises(BadInput, match=said):
        load_csv(as_csv(extra), max_rejected_share=0.0)
    assert tables(warehouse) == (["fruit"] if before else [])
    assert not before or rows(warehouse) == OLD_ROWS


def test_bad_rows_are_put_aside(warehouse: PostgresResource, load_csv: Load) -> None:
    tolerant = dataclasses.replace(FRUIT, max_rejected_share=0.5)
    result = load_csv(as_csv("90000,plum,many,\n"), tolerant)
    assert (result.rows, result.rejected) == (len(EXPECTED), 1)
    assert rows(warehouse) == EXPECTED
    assert tables(warehouse) == ["fruit", "fruit_rejected"]


class Ends:
    """A stream that calls something, once, when so many bytes of it were read."""

    def __init__(self, content: bytes, after: int, call: Callable[[], None]) -> None:
        self._stream = io.BytesIO(content)
        self._after = after
        self._call: Callable[[], None] | None = call

    def read(self, size: int, /) -> bytes:
        if self._call and self._stream.tell() >= self._after:
            call, self._call = self._call, None
            call()
        return self._stream.read(size)


@pytest.fixture
def load_ending(warehouse: PostgresResource) -> Callable[[bytes, int, Callable[[], None]], None]:
    def run(content: bytes, after: int, call: Callable[[], None]) -> None:
        @contextlib.contextmanager
        def open_source() -> Iterator[CsvSource]:
            yield CsvSource("file:///fruit.csv", Ends(content, after, call), FRUIT)

        with warehouse.get_connection() as connection:
            load(connection, "raw", FRUIT, open_source, missing="delete")

    return run


def test_a_stream_that_fails_leaves_nothing(
    warehouse: PostgresResource, load_ending: Callable[..., None]
) -> None:
    def fail() -> None:
        raise BadInput("file:///fruit.csv", "the file is gone")

    with pytest.raises(BadInput, match="the file is gone"):
        load_ending(as_csv(), 2_000_000, fail)
    assert tables(warehouse) == []


@pytest.mark.parametrize("lost", ["first", "second"])
def test_a_lost_session_ends_both(
    warehouse: PostgresResource,
    superuser: dict[str, Any],
    load_ending: Callable[..., None],
    load_csv: Load,
    lost: str,
) -> None:
    def terminate() -> None:
        order = "ASC" if lost == "first" else "DESC"
        admin = psycopg2.connect(**superuser, dbname="postgres")
        with contextlib.closing(admin), admin.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                f"WHERE usename = %s ORDER BY backend_start {order} LIMIT 1",
                (warehouse.user,),
            )
            assert cursor.fetchall() == [(True,)]

    with pytest.raises((LoaderError, psycopg2.Error)):
        load_ending(as_csv(), 2_000_000, terminate)
    # Who has lost the first session cannot clean up; the next load does.
    assert tables(warehouse) == (["fruit__loading"] if lost == "first" else [])
    load_csv(OLD)
    assert tables(warehouse) == ["fruit"]
    assert rows(warehouse) == OLD_ROWS


@pytest.mark.parametrize("before", [None, OLD], ids=["first load", "merge"])
@pytest.mark.parametrize(("content", "loaded"), [(OLD, OLD_ROWS), (as_csv(), EXPECTED)])
def test_what_a_killed_load_left_is_dropped(
    warehouse: PostgresResource,
    load_csv: Load,
    before: bytes | None,
    content: bytes,
    loaded: list[tuple[Any, ...]],
) -> None:
    if before:
        load_csv(before)
    # The second session commits first, so it may have rows.
    query(warehouse, "CREATE TABLE raw.fruit__loading AS SELECT 7 AS id; SELECT 1")
    load_csv(content)
    assert rows(warehouse) == loaded
    assert tables(warehouse) == ["fruit"]


def test_one_session_is_enough(
    warehouse: PostgresResource, superuser: dict[str, Any], load_csv: Load
) -> None:
    def allow(number: int) -> None:
        limit = sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}")
        admin = psycopg2.connect(**superuser, dbname="postgres")
        with contextlib.closing(admin), admin, admin.cursor() as cursor:
            cursor.execute(limit.format(sql.Identifier(warehouse.user), sql.Literal(number)))

    allow(1)
    try:
        load_csv(as_csv())
    finally:
        # For the tests that follow, too; and a session that has been closed counts for a moment.
        allow(-1)
    assert rows(warehouse) == EXPECTED
    assert sessions(warehouse) == 1

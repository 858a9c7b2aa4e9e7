"""What becomes of rows that are there, that return, that go; and what a load says about it."""

import dataclasses
import datetime
import threading
from collections.abc import Callable
from typing import Any

import psycopg2
import pytest
from fruit import FRUIT, HEADER, OLD, query, rows
from location_kit.postgres import PostgresResource

from postgres_loader.errors import MassDeletion
from postgres_loader.loading import LoadResult, Window
from postgres_loader.tables import Column, Table

Load = Callable[..., LoadResult]
DAYS = dataclasses.replace(FRUIT, day_column="picked_at")
MARKED = dataclasses.replace(FRUIT, marks_missing=True)
FIRST, SECOND, THIRD = (datetime.date(2026, 1, day) for day in (1, 2, 3))


def window(day: datetime.date) -> Window:
    start = datetime.datetime.combine(day, datetime.time(), datetime.UTC)
    return Window(start, start + datetime.timedelta(days=1))


def picked(*lines: tuple[int, str]) -> bytes:
    return HEADER + b"".join(f"{key},fruit,1,{time}\n".encode() for key, time in lines)


def missing_since(warehouse: PostgresResource) -> list[tuple[Any, ...]]:
    return query(warehouse, "SELECT id, missing_since IS NOT NULL FROM raw.fruit ORDER BY id")


def test_a_window_leaves_everything_else_alone(warehouse: PostgresResource, load_csv: Load) -> None:
    load_csv(picked((1, "2026-01-01"), (2, "2026-01-02"), (3, "2026-01-03"), (4, "")), DAYS)
    content = picked((1, "2026-01-01T23:59:59Z"), (5, "2026-01-02"), (6, "2026-01-03"), (7, ""))
    result = load_csv(content, DAYS, window=window(SECOND))
    assert (result.rows, result.outside) == (1, 3)
    assert (result.inserted, result.updated, result.deleted) == (1, 0, 1)
    assert [key for key, *_ in rows(warehouse)] == [1, 3, 4, 5]
    assert result.days == {SECOND: 1}
    times = query(warehouse, "SELECT picked_at::time FROM raw.fruit WHERE id = 1")
    assert times == [(datetime.time(0, 0),)]


def test_a_row_that_moves_to_another_day_is_there_once(
    warehouse: PostgresResource, load_csv: Load
) -> None:
    for order in ((FIRST, SECOND), (SECOND, FIRST)):
        load_csv(picked((1, "2026-01-01"), (2, "2026-01-01")), DAYS)
        moved = picked((1, "2026-01-01"), (2, "2026-01-02"))
        for day in order:
            load_csv(moved, DAYS, window=window(day))
        found = query(warehouse, "SELECT id, picked_at::date FROM raw.fruit ORDER BY id")
        assert found == [(1, FIRST), (2, SECOND)]


def test_windows_need_a_day_column_and_a_time_zone(load_csv: Load) -> None:
    with pytest.raises(ValueError, match="without day_column"):
        load_csv(OLD, window=window(FIRST))
    with pytest.raises(ValueError, match="time zone"):
        Window(datetime.datetime(2026, 1, 1), datetime.datetime(2026, 1, 2))
    with pytest.raises(ValueError, match="end after its start"):
        Window(window(FIRST).end, window(FIRST).start)


def test_days_are_those_that_changed(load_csv: Load) -> None:
    first = picked((1, "2026-01-01T00:00:00Z"), (2, "2026-01-01T23:59:59Z"), (3, ""))
    assert load_csv(first, DAYS).days == {FIRST: 2}
    assert load_csv(first, DAYS).days == {}
    # 1 goes to the third day, by its time zone; 2 is gone; 4 is new.
    result = load_csv(picked((1, "2026-01-02T23:00:00-02:00"), (3, ""), (4, "2026-01-02")), DAYS)
    assert result.days == {FIRST: 0, SECOND: 1, THIRD: 1}
    assert load_csv(first).days == {}


@pytest.mark.parametrize(
    ("before", "after", "share", "refused"),
    [
        (5000, 1, None, True),
        (300, 149, None, True),
        (300, 150, None, False),
        (300, 1, 1.0, False),
        (300, 299, 0.0, False),
        (100, 1, None, False),
    ],
)
def test_mass_deletion_is_refused(
    warehouse: PostgresResource,
    load_csv: Load,
    before: int,
    after: int,
    share: float | None,
    refused: bool,
) -> None:
    lines = [f"{number},x,1,\n".encode() for number in range(before)]
    load_csv(HEADER + b"".join(lines))
    content = HEADER + b"".join(lines[:after]) + b"99999,new,1,\n"
    if refused:
        complaint = rf"raw.fruit: {before - after} of its {before} rows .* share of 50%"
        with pytest.raises(MassDeletion, match=complaint):
            load_csv(content, max_deleted_share=share)
    else:
        load_csv(content, max_deleted_share=share)
    left = before if refused else after + 1
    assert query(warehouse, "SELECT count(*) FROM raw.fruit") == [(left,)]


def test_a_table_that_is_made_anew_is_guarded_too(
    warehouse: PostgresResource, load_csv: Load
) -> None:
    load_csv(HEADER + b"".join(f"{number},x,1,\n".encode() for number in range(300)))
    columns = (*FRUIT.columns[:2], dataclasses.replace(FRUIT.columns[2], type="text"))
    changed = dataclasses.replace(FRUIT, columns=(*columns, FRUIT.columns[3]))
    with pytest.raises(MassDeletion, match="299 of its 300 rows"):
        load_csv(HEADER + b"1,x,1,\n", changed)
    assert query(warehouse, "SELECT count(*) FROM raw.fruit") == [(300,)]


def test_missing_rows_are_marked_until_they_return(
    warehouse: PostgresResource, load_csv: Load
) -> None:
    assert load_csv(OLD, MARKED, missing="mark").marked == 0
    gone = load_csv(HEADER + b"1,apple,150,2026-01-01T00:00:00Z\n", MARKED, missing="mark")
    assert (gone.marked, gone.updated, gone.deleted) == (1, 0, 0)
    assert missing_since(warehouse) == [(1, False), (2, True)]
    since = query(warehouse, "SELECT missing_since FROM raw.fruit WHERE id = 2")
    again = load_csv(HEADER + b"1,apple,150,2026-01-01T00:00:00Z\n", MARKED, missing="mark")
    assert (again.marked, again.changed) == (0, False)
    assert query(warehouse, "SELECT missing_since FROM raw.fruit WHERE id = 2") == since
    back = load_csv(OLD, MARKED, missing="mark")
    assert (back.marked, back.updated) == (0, 1)
    assert missing_since(warehouse) == [(1, False), (2, False)]


def test_a_table_gets_its_mark_later(warehouse: PostgresResource, load_csv: Load) -> None:
    load_csv(OLD)
    query(warehouse, "CREATE VIEW raw.heavy AS SELECT * FROM raw.fruit; SELECT 1")
    assert load_csv(HEADER + b"2,fig,30,\n", MARKED, missing="mark").marked == 1
    assert missing_since(warehouse) == [(1, True), (2, False)]
    with pytest.raises(ValueError, match="without marks_missing"):
        load_csv(OLD, missing="mark")


def test_the_digest_changes_with_the_content(warehouse: PostgresResource, load_csv: Load) -> None:
    digests = [load_csv(OLD).digest]
    assert load_csv(OLD).digest == digests[0]
    for content in (HEADER + b"1,apple,151,\n", OLD, HEADER + b"1,apple,151,\n"):
        result = load_csv(content)
        assert result.changed
        assert result.digest not in digests
        digests.append(result.digest)
    query(warehouse, "DROP TABLE raw.fruit; SELECT 1")
    assert load_csv(OLD).digest not in digests


def test_equal_values_that_differ_are_stored(warehouse: PostgresResource, load_csv: Load) -> None:
    exact = Table(
        "fruit",
        "Fruit.",
        ("id",),
        (
            Column("id", "bigint", ""),
            Column("ratio", "double precision", ""),
            Column("price", "numeric", ""),
            Column("tags", "json", ""),
        ),
    )
    load_csv(b'id,ratio,price,tags\n1,0,1.0,"[1]"\n', exact)
    changed = b'id,ratio,price,tags\n1,-0,1.00,"[1]"\n'
    assert load_csv(changed, exact).updated == 1
    assert load_csv(changed, exact).updated == 0
    found = query(warehouse, "SELECT ratio::text, price::text, tags::text FROM raw.fruit")
    assert found == [("-0", "1.00", "[1]")]


def test_a_key_alone_is_a_table(warehouse: PostgresResource, load_csv: Load) -> None:
    keys = Table("fruit", "Fruit.", ("id",), (Column("id", "bigint", ""),))
    load_csv(b"id\n1\n2\n", keys)
    result = load_csv(b"id\n2\n3\n", keys)
    assert (result.inserted, result.updated, result.deleted) == (1, 0, 1)
    marked = dataclasses.replace(keys, marks_missing=True)
    assert load_csv(b"id\n3\n", marked, missing="mark").marked == 1
    assert load_csv(b"id\n2\n3\n", marked, missing="mark").updated == 1


def test_new_columns_do_not_need_a_new_table(warehouse: PostgresResource, load_csv: Load) -> None:
    load_csv(OLD)
    query(warehouse, "CREATE VIEW raw.heavy AS SELECT * FROM raw.fruit; SELECT 1")
    before = query(warehouse, "SELECT 'raw.fruit'::regclass::oid")
    origin, rank = Column("origin", "text", "Country.", nullable=True), Column("rank", "text", "")
    columns = (*FRUIT.columns[:2], origin, *FRUIT.columns[2:])
    wider = dataclasses.replace(FRUIT, columns=columns)
    load_csv(b"id,name,weight_g,picked_at,origin\n1,apple,150,,PL\n", wider, missing="keep")
    assert query(warehouse, "SELECT 'raw.fruit'::regclass::oid") == before
    found = query(warehouse, "SELECT id, origin FROM raw.fruit ORDER BY id")
    assert found == [(1, "PL"), (2, None)]
    assert load_csv(b"id,name,weight_g,picked_at,origin\n1,apple,150,,PL\n", wider).deleted == 1

    ranked = dataclasses.replace(FRUIT, columns=(*columns, rank))
    header = b"id,name,weight_g,picked_at,origin,rank\n"
    with pytest.raises(Exception, match="'rank' is declared to be never null, but"):
        load_csv(header + b"2,fig,1,,,b\n", ranked, missing="keep")
    load_csv(header + b"1,apple,150,,PL,a\n2,fig,1,,,b\n", ranked)
    required = "SELECT attnotnull FROM pg_attribute WHERE attrelid = 'raw.fruit'::regclass"
    assert query(warehouse, f"{required} AND attname = 'rank'") == [(True,)]


def test_a_new_type_converts_the_rows_that_stay(
    warehouse: PostgresResource, load_csv: Load
) -> None:
    load_csv(OLD)
    weight = dataclasses.replace(FRUIT.columns[2], type="text")
    texts = dataclasses.replace(FRUIT, columns=(*FRUIT.columns[:2], weight, FRUIT.columns[3]))
    load_csv(HEADER + b"3,kiwi,many,\n", texts, missing="keep")
    assert rows(warehouse) == [(1, "apple", "150"), (2, "fig", "30"), (3, "kiwi", "many")]
    with pytest.raises(Exception, match='invalid input syntax for type integer: "many"'):
        load_csv(HEADER + b"1,apple,1,\n", missing="keep")
    assert len(rows(warehouse)) == 3


def test_rows_that_others_write_meanwhile_are_merged_too(
    warehouse: PostgresResource, load_csv: Load
) -> None:
    load_csv(OLD)
    outcome: list[LoadResult] = []
    thread = threading.Thread(target=lambda: outcome.append(load_csv(HEADER + b"3,kiwi,9,\n")))
    with warehouse.get_connection() as other, other.cursor() as cursor:
        cursor.execute("INSERT INTO raw.fruit (id, name) VALUES (3, 'theirs'), (4, 'theirs')")
        thread.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        pause = threading.Event()
        for _ in range(500):
            if query(warehouse, waiting) == [(1,)]:
                break
            pause.wait(0.02)
        assert rows(warehouse)[0][1] == "apple"  # readers do not wait
    thread.join(30)
    assert (outcome[0].updated, outcome[0].deleted) == (1, 3)
    assert rows(warehouse) == [(3, "kiwi", 9)]


def test_a_table_of_others_is_refused_by_name(warehouse: PostgresResource, load_csv: Load) -> None:
    load_csv(OLD)
    with warehouse.get_connection() as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE raw.fruit IN ROW EXCLUSIVE MODE")
        with pytest.raises(Exception, match=r"raw\.fruit: .*lock timeout") as caught:
            load_csv(HEADER + b"3,kiwi,9,\n", lock_timeout_s=1)
        assert not isinstance(caught.value, psycopg2.Error)

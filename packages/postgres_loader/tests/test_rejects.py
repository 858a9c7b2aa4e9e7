"""Bad rows among good ones: found, kept with their places, and never in the way of a rerun."""

import contextlib
import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from fruit import FRUIT, HEADER, OLD, OLD_ROWS, query, rows, tables
from location_kit.postgres import PostgresResource

from postgres_loader.errors import BadInput
from postgres_loader.loading import LoadResult, Window, load
from postgres_loader.sources import RecordSource
from postgres_loader.tables import Column

Load = Callable[..., LoadResult]
TOLERANT = dataclasses.replace(FRUIT, max_rejected_share=0.9)


def rejected(warehouse: PostgresResource) -> list[tuple[Any, ...]]:
    return query(
        warehouse,
        "SELECT line, column_name, value, reason FROM raw.fruit_rejected ORDER BY file, line",
    )


def test_every_kind_of_bad_row(warehouse: PostgresResource, load_csv: Load) -> None:
    content = (
        HEADER
        + b'1,"two\nlines, one ""row""",1,2026-01-01\n'  # lines 2 and 3
        + b"2,kiwi,many,2026-02-30\n"
        + b"3,,1,\n"
        + b",plum,1,\n"
        + b"4,fig\n"
        + b"5,fig,1,,5\n"
        + b"6,na\xefve,1,\n"
        + b"7,a\0b,1,\n"
        + b"01,again,1,\n"
        + b"8,fig,99999999999,\n"
        + b"\n"
        + b'9,"",,\n'
    )
    result = load_csv(content, TOLERANT)
    assert rows(warehouse) == [(1, 'two\nlines, one "row"', 1), (9, "", None)]
    integer = "invalid input syntax for type integer"
    assert rejected(warehouse) == [
        (4, "weight_g", "many", f'{integer}: "many"'),
        (5, "name", None, "nothing is there, but the column needs a value"),
        (6, "id", None, "nothing is there, but the column needs a value"),
        (7, None, None, 'missing data for column "weight_g"'),
        (8, None, None, "extra data after last expected column"),
        (9, None, None, 'invalid byte sequence for encoding "UTF8": 0xef'),
        (10, None, None, 'invalid byte sequence for encoding "UTF8": 0x00'),
        (11, "id", "1", "key 1 is there twice, first in line 2"),
        (12, "weight_g", "99999999999", 'value "99999999999" is out of range for type integer'),
    ]
    assert (result.rows, result.inserted, result.rejected) == (2, 2, 9)
    assert result.bytes_read == len(content)
    assert [row.line for row in result.rejected_rows] == [4, 5, 6, 7, 8, 9, 10, 11, 12]
    records = query(warehouse, "SELECT line, record FROM raw.fruit_rejected ORDER BY line")
    assert records[0] == (
        4,
        '{"id":"2","name":"kiwi","weight_g":"many","picked_at":"2026-02-30"}',
    )
    assert records[5] == (9, r"6,na\xefve,1,")
    assert query(warehouse, "SELECT DISTINCT file FROM raw.fruit_rejected") == [
        ("file:///fruit.csv",)
    ]
    assert tables(warehouse) == ["fruit", "fruit_rejected"]


def test_a_rerun_replaces_what_the_file_had(warehouse: PostgresResource, load_csv: Load) -> None:
    bad = HEADER + b"1,apple,150,2026-01-01T00:00:00Z\n2,fig,30,\n3,kiwi,many,\n"
    for _ in range(2):
        result = load_csv(bad, TOLERANT)
        assert len(rejected(warehouse)) == 1
    assert (result.inserted, result.updated, result.changed) == (0, 0, False)
    query(
        warehouse,
        "INSERT INTO raw.fruit_rejected (file, line, reason) VALUES ('other', 1, 'x'); SELECT 1",
    )
    assert load_csv(OLD, TOLERANT).changed is False
    assert [reason for *_, reason in rejected(warehouse)] == ["x"]


def test_above_the_share_nothing_changes(warehouse: PostgresResource, load_csv: Load) -> None:
    load_csv(OLD)
    lines = [b"%d,fig,%s,\n" % (n, b"x" if n % 5 == 0 else b"1") for n in range(100)]
    content = HEADER + b"".join(lines)
    with pytest.raises(BadInput) as caught:
        load_csv(content, max_rejected_share=0.19)
    assert str(caught.value) == (
        'file:///fruit.csv, line 2, column weight_g: invalid input syntax for type integer: "x"; '
        "this is the first of 20 bad rows among 100, and no more than 19.00% of the rows may be bad"
    )
    assert caught.value.details == {
        "file": "file:///fruit.csv",
        "line": 2,
        "column": "weight_g",
        "value": "x",
        "rejected": 20,
        "rows": 100,
    }
    assert [row.line for row in caught.value.rejected_rows] == list(range(2, 50, 5))
    assert rows(warehouse) == OLD_ROWS
    assert tables(warehouse) == ["fruit"]
    assert load_csv(content, max_rejected_share=0.2).rejected == 20


def test_what_is_bad_is_not_missing(warehouse: PostgresResource, load_csv: Load) -> None:
    load_csv(OLD)
    result = load_csv(HEADER + b"1,apple,heavy,\n3,kiwi,5,\n", TOLERANT)
    assert (result.inserted, result.deleted) == (1, 1)
    assert rows(warehouse) == [(1, "apple", 150), (3, "kiwi", 5)]
    # Without a key, the bad row may be any: nothing is taken for missing.
    result = load_csv(HEADER + b"one,apple,1,\n4,date,5,\n", TOLERANT)
    assert (result.inserted, result.deleted, result.unidentified) == (1, 0, 1)
    assert [key for key, *_ in rows(warehouse)] == [1, 3, 4]


def test_bad_rows_within_a_window(warehouse: PostgresResource, load_csv: Load) -> None:
    table = dataclasses.replace(TOLERANT, day_column="picked_at")
    load_csv(HEADER + b"1,old,1,2026-01-01\n2,old,1,2026-01-01\n3,old,1,2026-01-02\n", table)
    window = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    content = HEADER + b"1,new,x,2026-01-01\n3,new,1,2026-01-02\n4,new,1,2026-01-01\n"
    result = load_csv(content, table, window=window)
    assert (result.rejected, result.outside, result.inserted, result.deleted) == (1, 1, 1, 1)
    found = query(warehouse, "SELECT id, name FROM raw.fruit ORDER BY id")
    assert found == [(1, "old"), (3, "old"), (4, "new")]


def test_what_cannot_be_told_row_by_row_fails(warehouse: PostgresResource, load_csv: Load) -> None:
    load_csv(OLD)
    for content, complaint in (
        (b'3,fig,1,\n4,"fig,1,\n5,fig,1,\n', "line 3: unterminated CSV quoted field"),
        (b"3,fig,many,\n\\.\n4,fig,1,\n", r"begins with \\\."),
    ):
        with pytest.raises(BadInput, match=complaint):
            load_csv(HEADER + content, TOLERANT, max_rejected_share=1.0)
    with pytest.raises(BadInput, match="all 1 rows are bad: invalid input"):
        load_csv(HEADER + b"1,fig,many,\n", max_rejected_share=1.0)
    assert rows(warehouse) == OLD_ROWS
    assert tables(warehouse) == ["fruit"]


@pytest.mark.parametrize(
    "content",
    [
        HEADER.replace(b"\n", b"\r\n") + b"1,apple,150,\r\n2,fig,30,\n",
        HEADER + b"1,apple,150,\r\n2,fig,30,\n",
        HEADER.replace(b"\n", b"\r\n") + b"1,apple,150,\n2,fig,30,\r",
        HEADER.replace(b"\n", b"\r\n") + b"1,apple,150,\r2,fig,30,\r\n",
        (HEADER + b"1,apple,150,\n2,fig,30,\n3,kiwi,x,\n").replace(b"\n", b"\r"),
        (HEADER + b"1,apple,150,\n2,fig,30,\n3,kiwi,x,\n").replace(b"\n", b"\r\n"),
        HEADER + b"1,apple,150,\n2,fig,30,\n\n\n",
        HEADER + b"1,apple,150,\n2,fig,30,\n  \n \t\r\n\n ",
    ],
)
def test_ends_of_lines(warehouse: PostgresResource, load_csv: Load, content: bytes) -> None:
    result = load_csv(content, TOLERANT)
    assert rows(warehouse) == OLD_ROWS
    assert result.rejected == content.count(b"x")


def test_composite_keys_and_other_types(warehouse: PostgresResource, load_csv: Load) -> None:
    columns = (
        Column("shop", "character varying(3)", ""),
        Column("day", "date", ""),
        Column("share", "numeric(4,2)", "", nullable=True),
        Column("tags", "jsonb", "", nullable=True),
        Column("open", "boolean", "", nullable=True),
    )
    table = dataclasses.replace(TOLERANT, columns=columns, primary_key=("shop", "day"))
    content = (
        b"tags,day,shop,share,open\n"
        b'"[1]",2026-01-01,abc,1.50,yes\n'
        b",2026-01-01,abcd,,\n"
        b",2026/01/01,abc,,\n"
        b"[1,2026-01-03,abc,,\n"
        b",2026-01-04,abc,123.4,\n"
        b",2026-01-05,abc,,maybe\n"
    )
    assert load_csv(content, table).rejected == 5
    places = [(line, column, value) for line, column, value, _ in rejected(warehouse)]
    assert places == [
        (3, "shop", "abcd"),
        (4, "shop, day", "abc, 2026-01-01"),
        (5, "tags", "[1"),
        (6, "share", "123.4"),
        (7, "open", "maybe"),
    ]
    assert query(warehouse, "SELECT shop, share, tags, open FROM raw.fruit") == [
        ("abc", pytest.approx(1.5), [1], True)
    ]


def test_bad_records_are_kept_by_number(warehouse: PostgresResource) -> None:
    records = [{"id": 1, "name": "x"}, {"id": "two", "name": "x"}, {"id": 3, "name": "\ud800"}]

    def open_source() -> contextlib.nullcontext[RecordSource]:
        return contextlib.nullcontext(RecordSource("http://api", records, TOLERANT))

    with warehouse.get_connection() as connection:
        result = load(connection, "raw", TOLERANT, open_source, missing="keep")
    assert (result.rows, result.rejected) == (1, 2)
    assert [(line, column) for line, column, *_ in rejected(warehouse)] == [(2, "id"), (3, None)]

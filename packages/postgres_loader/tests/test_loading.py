"""Loads into a real PostgreSQL: what arrives, and that bad input changes nothing."""

import contextlib
import csv
import dataclasses
import io
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fruit import FRUIT, HEADER, OLD, OLD_ROWS, query, rows, tables
from location_kit.postgres import PostgresResource

from postgres_loader.errors import BadInput, WarehouseError
from postgres_loader.loading import LoadResult, load
from postgres_loader.sources import CsvSource, RecordSource
from postgres_loader.tables import Column

Load = Callable[..., LoadResult]


def test_values_arrive_as_they_are(warehouse: PostgresResource, load_csv: Load) -> None:
    names = [
        "plain",
        "",
        "a,b",
        'say "hi"',
        "two\nlines",
        "Łódź 東京 🍎",
        "x" * 5_000_000,
        "\\N",
        " ",
    ]
    content = io.StringIO()
    writer = csv.writer(content, quoting=csv.QUOTE_ALL, lineterminator="\n")
    for number, name in enumerate(names):
        writer.writerow([number, name, 7, "2026-03-01T12:00:00+02:00"])
    result = load_csv(b"\xef\xbb\xbf" + HEADER + content.getvalue().encode())
    assert [row[1] for row in rows(warehouse)] == names
    assert (result.rows, result.inserted) == (len(names), len(names))
    assert result.bytes_read == 3 + len(HEADER) + len(content.getvalue().encode())
    assert [row[1] for row in result.preview] == names[:5]
    (picked,) = query(warehouse, "SELECT DISTINCT picked_at AT TIME ZONE 'UTC' FROM raw.fruit")
    assert picked[0].isoformat() == "2026-03-01T10:00:00"


def test_columns_are_matched_by_name(warehouse: PostgresResource, load_csv: Load) -> None:
    load_csv(b"picked_at,weight_g,name,id\n,150,apple,1\n,30,fig,2\n")
    assert rows(warehouse) == OLD_ROWS


def test_empty_is_null_and_quoted_empty_is_not(warehouse: PostgresResource, load_csv: Load) -> None:
    load_csv(HEADER + b'1,"",,\n')
    assert rows(warehouse) == [(1, "", None)]


def test_the_table_becomes_the_file(warehouse: PostgresResource, load_csv: Load) -> None:
    load_csv(OLD)
    assert rows(warehouse) == OLD_ROWS
    again = load_csv(OLD)
    assert (again.rows, again.inserted, again.updated, again.deleted) == (2, 0, 0, 0)
    changed = load_csv(HEADER + b"2,fig,31,\n3,plum,40,\n")
    assert (changed.rows, changed.inserted, changed.updated, changed.deleted) == (2, 1, 1, 1)
    assert rows(warehouse) == [(2, "fig", 31), (3, "plum", 40)]
    assert tables(warehouse) == ["fruit"]


def test_without_deletion_old_rows_stay(warehouse: PostgresResource, load_csv: Load) -> None:
    load_csv(OLD)
    result = load_csv(HEADER + b"2,fig,31,\n", missing="keep")
    assert (result.inserted, result.updated, result.deleted) == (0, 1, 0)
    assert rows(warehouse) == [(1, "apple", 150), (2, "fig", 31)]


@pytest.mark.parametrize(
    ("content", "place", "complaint"),
    [
        (b"", {}, "the file is empty"),
        (HEADER, {}, "there is not a single row; raw.fruit keeps those it has"),
        (b"id,name\n1,fig\n", {"line": 1, "column": "weight_g"}, "is missing"),
        (
            HEADER + b"1,fig,1,\n2,kiwi,many,\n",
            {"line": 3, "column": "weight_g", "value": "many"},
            'invalid input syntax for type integer: "many"',
        ),
        (HEADER + b"99999999999999999999,fig,1,\n", {"line": 2, "column": "id"}, "out of range"),
        (HEADER + b"1,fig,1,2026-02-30\n", {"line": 2, "column": "picked_at"}, "out of range"),
        (HEADER + b"1,,1,\n", {"line": 2, "column": "name"}, "the column needs a value"),
        (
            HEADER + b'7,"two\nlines",1,\n8,fig,1,\n7,plum,1,\n',
            {"line": 5, "column": "id", "value": "7"},
            "key 7 is there twice",
        ),
        (HEADER + b"1,fig\n", {"line": 2}, 'missing data for column "weight_g"'),
        (HEADER + b"1,fig,1,,5\n", {"line": 2}, "extra data"),
        (HEADER + b'1,"fig,1,\n2,plum,1,\n', {"line": 2}, "unterminated CSV quoted field"),
        (HEADER + b"1,fig,1,\n2,na\xefve,1,\n", {"line": 3}, "invalid byte sequence"),
        (HEADER + b"1,a\0b,1,\n", {"line": 2}, "invalid byte sequence"),
        (HEADER + b"1,fig,1,\n\\.\n2,fig,1,\n", {}, "begins with"),
    ],
)
def test_bad_files_are_explained_and_change_nothing(
    warehouse: PostgresResource,
    load_csv: Load,
    content: bytes,
    place: dict[str, object],
    complaint: str,
) -> None:
    load_csv(OLD)
    with pytest.raises(BadInput) as caught:
        load_csv(content)
    assert complaint in str(caught.value)
    found = {name: caught.value.details.get(name) for name in ("line", "column", "value")}
    assert found.items() >= place.items()
    assert caught.value.details["file"] == "file:///fruit.csv"
    assert rows(warehouse) == OLD_ROWS
    assert tables(warehouse) == ["fruit"]


def test_zero_rows_are_fine_where_declared(warehouse: PostgresResource, load_csv: Load) -> None:
    load_csv(OLD)
    load_csv(HEADER, dataclasses.replace(FRUIT, may_be_empty=True))
    assert rows(warehouse) == []


def test_bad_records_are_counted(warehouse: PostgresResource) -> None:
    records = [{"id": 1, "name": "two\nlines"}, {"id": "two", "name": "x"}]

    def open_source() -> contextlib.nullcontext[RecordSource]:
        return contextlib.nullcontext(RecordSource("http://api", records, FRUIT))

    with (
        pytest.raises(BadInput, match=r"http://api, record 2, column id: .*two"),
        warehouse.get_connection() as connection,
    ):
        load(connection, "raw", FRUIT, open_source, missing="keep")
    assert tables(warehouse) == []


def test_a_new_declaration_makes_the_table_anew(
    warehouse: PostgresResource, load_csv: Load
) -> None:
    load_csv(OLD)
    origin = Column("origin", "text", "Country.", nullable=True)
    wider = dataclasses.replace(FRUIT, columns=(*FRUIT.columns, origin))
    load_csv(b"id,name,weight_g,picked_at,origin\n1,apple,150,,PL\n", wider)
    assert query(warehouse, "SELECT id, origin FROM raw.fruit") == [(1, "PL")]
    found = query(
        warehouse,
        "SELECT col_description('raw.fruit'::regclass, 5), obj_description('raw.fruit'::regclass)",
    )
    assert found == [("Country.", "Fruit.")]
    # An incremental load has no other copy of the rows that it does not bring.
    load_csv(HEADER + b"2,fig,30,\n", missing="keep")
    assert rows(warehouse) == [(1, "apple", 150), (2, "fig", 30)]


def test_a_new_declaration_does_not_break_views(
    warehouse: PostgresResource, load_csv: Load
) -> None:
    load_csv(OLD)
    query(warehouse, "CREATE VIEW raw.heavy AS SELECT * FROM raw.fruit; SELECT 1")
    load_csv(HEADER + b"1,apple,151,\n")
    assert query(warehouse, "SELECT weight_g FROM raw.heavy") == [(151,)]
    narrower = dataclasses.replace(FRUIT, columns=FRUIT.columns[:2])
    with pytest.raises(WarehouseError, match="view heavy depends on table fruit"):
        load_csv(b"id,name\n1,apple\n", narrower)
    assert rows(warehouse) == [(1, "apple", 151)]


def test_memory_does_not_grow_with_the_file(tmp_path: Path, warehouse: PostgresResource) -> None:
    file = tmp_path / "fruit.csv"
    with file.open("wb") as stream:
        stream.write(HEADER)
        for start in range(0, 200_000, 1000):
            stream.writelines(b"%d,%050d,1,\n" % (n, n) for n in range(start, start + 1000))

    @contextlib.contextmanager
    def open_source() -> Iterator[CsvSource]:
        with file.open("rb") as stream:
            yield CsvSource(file.as_uri(), stream, FRUIT)

    with warehouse.get_connection() as connection:
        tracemalloc.start()
        result = load(connection, "raw", FRUIT, open_source, missing="delete")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert result.rows == 200_000
    assert peak < file.stat().st_size / 5

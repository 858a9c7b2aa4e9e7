"""Whole numbers in the spellings of other tools, and what is not a whole number."""

import dataclasses
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from fruit import FRUIT, HEADER, parquet, query
from location_kit.postgres import PostgresResource

from postgres_loader.errors import BadInput
from postgres_loader.loading import LoadResult

Load = Callable[..., LoadResult]
TOLERANT = dataclasses.replace(FRUIT, max_rejected_share=1.0, may_be_empty=True)


@pytest.mark.parametrize(
    ("ids", "expected", "rejected"),
    [
        (pa.array([Decimal("1"), Decimal("9000000000")], pa.decimal128(38, 9)), 9_000_000_000, 0),
        (pa.array([1.0, 123456789012.0]), 123_456_789_012, 0),
        (pa.array([1.0, 1e15]), 10**15, 0),
        (pa.array([1.0, 2.5]), 1, 1),
        (pa.array([1.0, 2.0**60]), 1, 1),
        (pa.array([1.0, float("nan")]), 1, 1),
        (pa.array([Decimal("1"), Decimal("2.5")], pa.decimal128(38, 9)), 1, 1),
        (pa.array([True, False]), None, 2),
    ],
)
def test_parquet(
    warehouse: PostgresResource, load_file: Load, ids: pa.Array, expected: int, rejected: int
) -> None:
    columns = {
        "id": ids,
        "name": ["a", "b"],
        "weight_g": pa.nulls(2, pa.int32()),
        "picked_at": pa.nulls(2, pa.timestamp("us")),
    }
    if rejected == len(ids):
        with pytest.raises(BadInput, match="all 2 rows are bad: invalid input syntax"):
            load_file("fruit.parquet", parquet(columns), TOLERANT)
        return
    assert load_file("fruit.parquet", parquet(columns), TOLERANT).rejected == rejected
    assert query(warehouse, "SELECT max(id) FROM raw.fruit") == [(expected,)]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("1.0", 1),
        ("1e2", 100),
        ("-3.00E1", -30),
        ("1.5", None),
        ("1e300", None),
        ("99999999999999999999", None),
        ("true", None),
        ("NaN", None),
        ("Infinity", None),
    ],
)
def test_json_lines(
    warehouse: PostgresResource, load_file: Load, number: str, expected: int | None
) -> None:
    content = f'{{"id": {number}, "name": "a"}}\n{{"id": 7, "name": "b"}}\n'
    result = load_file("fruit.jsonl", content.encode(), TOLERANT)
    found = [key for (key,) in query(warehouse, "SELECT id FROM raw.fruit WHERE name = 'a'")]
    assert (found, result.rejected) == (([expected], 0) if expected else ([], 1))


def test_a_column_of_reals_keeps_its_digits(warehouse: PostgresResource, load_file: Load) -> None:
    columns = (*FRUIT.columns[:2], dataclasses.replace(FRUIT.columns[2], type="numeric"))
    table = dataclasses.replace(FRUIT, columns=columns)
    record: dict[str, Any] = {"id": 1, "name": "a", "weight_g": 1.0}
    load_file("fruit.jsonl", json.dumps(record).encode(), table)
    assert query(warehouse, "SELECT weight_g::text FROM raw.fruit") == [("1.0",)]


@pytest.mark.parametrize("bad", [b"", b'"7","x","heavy",""\n'])
def test_where_everything_is_quoted_nothing_is_null(
    warehouse: PostgresResource, load_file: Load, bad: bytes
) -> None:
    content = HEADER + b'"1","","",""\n"2","fig","30","2026-01-01"\n' + bad
    assert load_file("fruit.csv", content, TOLERANT).rejected == bool(bad)
    found = query(warehouse, "SELECT name, weight_g, picked_at IS NULL FROM raw.fruit ORDER BY id")
    assert found == [("", None, True), ("fig", 30, False)]


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
@pytest.mark.parametrize("other", [b"\r", b"\n", b"\r\n"])
def test_ends_of_lines_may_be_mixed(
    warehouse: PostgresResource, load_file: Load, end: bytes, other: bytes
) -> None:
    header = HEADER.replace(b"\n", end)
    content = header + b"1,a,1," + other + b'2,"b\r\nb",2,' + end + b"3,c,3," + other
    assert load_file("fruit.csv", content).rows == 3
    assert query(warehouse, "SELECT sum(weight_g) FROM raw.fruit") == [(6,)]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("fruit.csv", b"id;name;weight_g;picked_at\n1;a;1;\n", "separated by semicolons"),
        ("fruit.csv", b"id\tname\tweight_g\tpicked_at\n", "separated by tabs"),
        ("fruit.csv", b"sep=;\nid;name\n", "Excel's own"),
        ("fruit.csv", b"PK\x03\x04xlsx", "an Excel workbook"),
        ("fruit.csv", b"\x1f\x8b\x08\x00", "must end with .csv.gz"),
        ("fruit.csv", b"PAR1....", "must end with .parquet"),
        ("fruit.csv", b"ID, name,weight_g,picked_at\n", "it has 'ID' for 'id', ' name' for 'name'"),
    ],
)
def test_what_the_file_probably_is(load_file: Load, name: str, content: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        load_file(name, content)


def test_a_declared_delimiter(warehouse: PostgresResource, load_file: Load) -> None:
    table = dataclasses.replace(TOLERANT, delimiter=";")
    content = b'id;name;weight_g;picked_at\n1;"a;b";5;2026-01-01\n2;c,d;6;\n'
    assert load_file("fruit.csv", content, table).rejected == 0
    assert load_file("fruit.csv", content + b"3;x;many;\n", table).rejected == 1
    found = query(warehouse, "SELECT name FROM raw.fruit ORDER BY id")
    assert found == [("a;b",), ("c,d",)]

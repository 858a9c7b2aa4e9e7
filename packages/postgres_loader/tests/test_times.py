"""Dates and times: what is read, what is refused, and that no format decides otherwise."""

import dataclasses
import json
from collections.abc import Callable

import pyarrow as pa
import pytest
from fruit import FRUIT, HEADER, parquet, query
from location_kit.postgres import PostgresResource

from postgres_loader import rejects
from postgres_loader.errors import BadInput
from postgres_loader.loading import LoadResult

Load = Callable[..., LoadResult]
ALL_BAD = dataclasses.replace(FRUIT, max_rejected_share=1.0, may_be_empty=True)
GOOD = {
    "2026-03-04": "2026-03-04 00:00:00",
    "2026/3/4": "2026-03-04 00:00:00",
    "20260304": "2026-03-04 00:00:00",
    "2026-03-04T10:00:00Z": "2026-03-04 10:00:00",
    "2026-03-04 10:00:00.123456+05:30": "2026-03-04 04:30:00.123456",
    "0001-01-01": "0001-01-01 00:00:00",
    "9999-12-31T23:59:59Z": "9999-12-31 23:59:59",
    " 2026-03-04 ": "2026-03-04 00:00:00",
}
BAD = [
    *("03/04/2026", "01.12.2025", "13.12.2025", "26-03-04", "01/02/03", "05-Jan-26"),
    *("now", "today", "tomorrow", "yesterday", "epoch", "infinity", "-infinity", "allballs"),
    *("2026-03-04 10:00 IST", "2026-03-04 10:00 America/New_York", "2026-03-04 10:00 PST"),
    *("20250-01-01", "0044-03-15 BC", "2026-02-30", "9999-12-31T23:59:59-12", "J2451187"),
]


def as_csv(values: list[str]) -> tuple[str, bytes]:
    lines = [f'{n},"a ""b"",\nc",1,{value}\n' for n, value in enumerate(values)]
    return "fruit.csv", HEADER + "".join(lines).encode()


def as_jsonl(values: list[str]) -> tuple[str, bytes]:
    records = ({"id": n, "name": "x", "picked_at": value} for n, value in enumerate(values))
    return "fruit.jsonl", "\n".join(map(json.dumps, records)).encode()


def as_parquet(values: list[str]) -> tuple[str, bytes]:
    count = len(values)
    columns = {
        "id": list(range(count)),
        "name": ["x"] * count,
        "weight_g": pa.nulls(count, pa.int32()),
        "picked_at": values,
    }
    return "fruit.parquet", parquet(columns)


EACH_FORMAT = pytest.mark.parametrize("write", [as_csv, as_jsonl, as_parquet])


@EACH_FORMAT
def test_good_times_are_read_as_they_are(
    warehouse: PostgresResource, load_file: Load, write: Callable[..., tuple[str, bytes]]
) -> None:
    result = load_file(*write([*GOOD]))
    assert result.rejected == 0
    found = query(warehouse, "SELECT picked_at AT TIME ZONE 'UTC' FROM raw.fruit ORDER BY id")
    assert [str(at) for (at,) in found] == [*GOOD.values()]


@EACH_FORMAT
def test_bad_times_are_bad_rows(
    warehouse: PostgresResource,
    load_file: Load,
    write: Callable[..., tuple[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rejects, "SHOWN_ROWS", len(BAD) + 2)
    result = load_file(*write(["2026-03-04", *BAD, "2026-03-05"]), ALL_BAD)
    assert (result.inserted, result.rejected) == (2, len(BAD))
    assert [row.value for row in result.rejected_rows] == BAD
    assert {row.column for row in result.rejected_rows} == {"picked_at"}
    assert not [row for row in result.rejected_rows if "datestyle" in row.reason]
    found = query(warehouse, "SELECT id FROM raw.fruit ORDER BY id")
    assert found == [(0,), (len(BAD) + 1,)]


def test_the_server_s_setting_decides_nothing(warehouse: PostgresResource, load_file: Load) -> None:
    query(warehouse, "SELECT 1")
    with warehouse.get_connection() as connection, connection.cursor() as cursor:
        cursor.execute("ALTER ROLE CURRENT_USER SET datestyle = 'SQL, MDY'")
    try:
        with pytest.raises(BadInput, match="all 1 rows are bad: this is not a date"):
            load_file(*as_csv(["03/04/2026"]), dataclasses.replace(FRUIT, max_rejected_share=1.0))
    finally:
        with warehouse.get_connection() as connection, connection.cursor() as cursor:
            cursor.execute("ALTER ROLE CURRENT_USER RESET datestyle")


@pytest.mark.parametrize(
    ("declared", "text"), [("DMY", "31.12.2025 10:00"), ("MDY", "12/31/2025 10:00")]
)
@EACH_FORMAT
def test_a_declared_order(
    warehouse: PostgresResource,
    load_file: Load,
    write: Callable[..., tuple[str, bytes]],
    declared: str,
    text: str,
) -> None:
    table = dataclasses.replace(ALL_BAD, date_format=declared)
    assert load_file(*write([text, "2025-12-31T10:00Z", "2025"]), table).rejected == 1
    found = query(warehouse, "SELECT DISTINCT picked_at::text FROM raw.fruit")
    assert found == [("2025-12-31 10:00:00+00",)]


def test_a_row_that_spans_many_chunks(warehouse: PostgresResource, load_file: Load) -> None:
    long = "x,\n" * 500_000
    content = HEADER + f'1,"{long}",1,2026-01-01\n2,fig,1,2026-01-02'.encode()
    assert load_file("fruit.csv", content).rows == 2
    with pytest.raises(BadInput, match=r"line 2, column picked_at"):
        load_file("fruit.csv", content.replace(b"2026-01-01", b"now"))


@pytest.mark.parametrize("value", ["PARQUET:2", "date_format", ";;", "é", '"', "\n", ""])
def test_what_cannot_be_declared(value: str) -> None:
    with pytest.raises(ValueError, match="table fruit"):
        dataclasses.replace(FRUIT, delimiter=value)


def test_int96_of_any_century(warehouse: PostgresResource, load_file: Load) -> None:
    times = pa.array([253402300799_000000, -62135596800_000000], pa.timestamp("us"))
    columns = {
        "id": [1, 2],
        "name": ["a", "b"],
        "weight_g": pa.nulls(2, pa.int32()),
        "picked_at": times,
    }
    load_file("fruit.parquet", parquet(columns, use_deprecated_int96_timestamps=True))
    found = query(warehouse, "SELECT picked_at::text FROM raw.fruit ORDER BY id")
    assert found == [("9999-12-31 23:59:59+00",), ("0001-01-01 00:00:00+00",)]

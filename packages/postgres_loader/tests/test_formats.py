"""Files of every format, whole and damaged, into a real PostgreSQL."""

import dataclasses
import gzip
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pytest
from fruit import FRUIT, HEADER, OLD, OLD_ROWS, Trickle, parquet, query, rows, tables
from location_kit.postgres import PostgresResource

from postgres_loader.errors import BadInput
from postgres_loader.loading import LoadResult
from postgres_loader.sources import open_table_source
from postgres_loader.sources.streams import LINE_LIMIT_BYTES
from postgres_loader.tables import Column, Table

LoadFile = Callable[..., LoadResult]
JSONL = (
    b'{"id": 1, "name": "apple", "weight_g": 150, "picked_at": "2026-01-01T00:00:00Z"}\n\n'
    b'{"name": "fig", "id": 2, "weight_g": 30}'
)


PARQUET = parquet(
    {
        "name": ["apple", "fig"],
        "id": [1, 2],
        "weight_g": [150, 30],
        "picked_at": [datetime(2026, 1, 1, tzinfo=UTC), None],
    }
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("fruit.csv", OLD),
        ("FRUIT.CSV.GZ", gzip.compress(OLD)),
        ("fruit.csv.gz", gzip.compress(OLD[:40]) + gzip.compress(OLD[40:])),
        ("fruit.csv", OLD.decode().encode("utf-16")),
        ("fruit.csv", b"\xfe\xff" + OLD.decode().encode("utf-16-be")),
        ("fruit.csv", OLD.decode().encode("utf-32")),
        ("fruit.csv.gz", gzip.compress(OLD.decode().encode("utf-16"))),
        ("fruit.jsonl", JSONL),
        ("fruit.jsonl", JSONL.decode().encode("utf-8-sig")),
        ("fruit.jsonl.gz", gzip.compress(JSONL)),
        ("fruit.2026-01.parquet", PARQUET),
    ],
)
def test_formats(
    warehouse: PostgresResource, load_file: LoadFile, name: str, content: bytes
) -> None:
    result = load_file(name, content)
    assert rows(warehouse) == OLD_ROWS
    assert (result.rows, result.rejected, result.bytes_read) == (2, 0, len(content))
    picked = query(warehouse, "SELECT picked_at FROM raw.fruit ORDER BY id")
    assert picked == [(datetime(2026, 1, 1, tzinfo=UTC),), (None,)]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("fruit.xlsx", OLD, r"s3://b/fruit.xlsx: no known format; .* \.csv, .*\.parquet"),
        ("fruit.csv.gz", gzip.compress(OLD)[:-20], "the gzip file is cut off"),
        ("fruit.csv.gz", gzip.compress(OLD)[:-3], "the gzip file is cut off"),
        ("fruit.csv.gz", OLD, "the gzip file cannot be unpacked"),
        ("fruit.csv.gz", gzip.compress(OLD) + b"garbage", "the gzip file cannot be unpacked"),
        ("fruit.csv.gz", b"", "the file is empty"),
        ("fruit.csv", OLD.decode().encode("utf-16")[:-1], r"line 3: byte 140 .* is not utf-16"),
        ("fruit.jsonl", b"", "there is not a single row"),
        ("fruit.jsonl", JSONL + b"\n[1]", r"line 4: this is not a JSON object: .*\[1\]"),
        ("fruit.jsonl", JSONL[:-1], "line 3: this is not a JSON object"),
        ("fruit.jsonl", b"{}", "line 1, column id: nothing is there"),
        ("fruit.jsonl", b"[" * 100_000, "line 1: this is not a JSON object"),
        ("fruit.jsonl", b'{"id":1,"name":"na\xefve"}', "line 1: invalid byte sequence"),
        ("fruit.jsonl", b'{"id":1,"name":"a\\u0000"}', "line 1: invalid byte sequence .* 0x00"),
        ("fruit.parquet", b"", "this is not a Parquet file"),
        ("fruit.parquet", PARQUET[:-9], "this is not a Parquet file"),
        ("fruit.parquet", parquet({"id": [1], "name": ["x"]}), "column 'weight_g', 'picked_at' is"),
        (
            "fruit.parquet",
            parquet(
                {"id": [1, 2], "name": ["x", None], "weight_g": ["1", "2"], "picked_at": [""] * 2}
            ),
            "record 1, column picked_at: .*first of 2 bad rows among 2",
        ),
    ],
)
def test_damaged_files_are_explained_and_change_nothing(
    warehouse: PostgresResource, load_file: LoadFile, name: str, content: bytes, complaint: str
) -> None:
    load_file("fruit.csv", OLD)
    with pytest.raises(BadInput, match=complaint):
        load_file(name, content)
    assert rows(warehouse) == OLD_ROWS
    assert tables(warehouse) == ["fruit"]


def test_encodings_are_declared(warehouse: PostgresResource, load_file: LoadFile) -> None:
    content = HEADER + "1,naïve,1,\n".encode("latin-1")
    with pytest.raises(BadInput, match='line 2: invalid byte sequence for encoding "UTF8": 0xef'):
        load_file("fruit.csv", content)
    load_file("fruit.csv", content, dataclasses.replace(FRUIT, encoding="latin-1"))
    assert rows(warehouse) == [(1, "naïve", 1)]
    # A byte order mark knows better than a declaration.
    load_file(
        "fruit.csv", OLD.decode().encode("utf-16"), dataclasses.replace(FRUIT, encoding="latin-1")
    )
    assert rows(warehouse) == OLD_ROWS
    content = HEADER + b"1,a,1,\n2,\x81,1,\n"
    with pytest.raises(BadInput, match=r"line 3: byte 36 .* is not cp1252"):
        load_file("fruit.csv", content, dataclasses.replace(FRUIT, encoding="cp1252"))


def test_a_file_that_changes_is_refused(warehouse: PostgresResource, load_file: LoadFile) -> None:
    load_file("fruit.csv", OLD)

    def verify() -> None:
        raise BadInput("s3://b/fruit", "the file changed while it was read")

    bad = HEADER + b"1,apple,many,\n"
    for name, content in (
        ("fruit.csv", OLD),
        ("fruit.jsonl", JSONL),
        ("fruit.parquet", PARQUET),
        ("fruit.csv", bad),
    ):
        with pytest.raises(BadInput, match="changed while it was read"):
            load_file(name, content, verify=verify)
    assert rows(warehouse) == OLD_ROWS


def test_a_line_without_end_does_not_fill_the_memory(load_file: LoadFile) -> None:
    class Endless(Trickle):
        def read(self, size: int, /) -> bytes:
            return super().read(size) or b"x" * size

    with (
        pytest.raises(BadInput, match=f"a line of more than {LINE_LIMIT_BYTES} bytes"),
        open_table_source("f", Endless(b'{"id"'), "f.jsonl", FRUIT) as source,
    ):
        source.read()


def test_parquet_keeps_values_as_they_are(warehouse: PostgresResource, load_file: LoadFile) -> None:
    kinds: dict[str, tuple[str, pa.Array, str]] = {
        "big": ("numeric", pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
        "price": ("numeric(10,3)", pa.array([Decimal("1.100")]), "1.100"),
        "ratio": ("double precision", pa.array([0.1 + 0.2]), "0.30000000000000004"),
        "single": ("real", pa.array([0.1], pa.float32()), "0.1"),
        "day": ("date", pa.array([date(1, 1, 1)]), "0001-01-01"),
        "naive": (
            "timestamp without time zone",
            pa.array([datetime(2026, 1, 1)]),
            "2026-01-01 00:00:00",
        ),
        "utc": (
            "timestamp with time zone",
            pa.array(
                [datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))],
                pa.timestamp("us", "Europe/Berlin"),
            ),
            "2026-01-01 00:00:00+00",
        ),
        "raw": ("bytea", pa.array([b"\x00\\\n"]), "\\x005c0a"),
        "yes": ("boolean", pa.array([True]), "true"),
        "tags": ("jsonb", pa.array([["a", None]]), '["a", null]'),
        "point": (
            "jsonb",
            pa.array([{"x": 1.5, "on": date(2026, 1, 1)}]),
            '{"x": 1.5, "on": "2026-01-01"}',
        ),
        "shelf": ("text", pa.array(["a\tb\\N"]).dictionary_encode(), "a\tb\\N"),
        "took": ("interval", pa.array([timedelta(minutes=90)]), "01:30:00"),
    }
    table = Table(
        "fruit",
        "",
        ("id",),
        (
            Column("id", "bigint", ""),
            *(Column(name, type_, "", nullable=True) for name, (type_, _, _) in kinds.items()),
        ),
    )
    columns = {name: pa.concat_arrays([array, array[:0]]) for name, (_, array, _) in kinds.items()}
    load_file("fruit.parquet", parquet({"id": pa.array([1]), **columns}), table)
    statement = ", ".join(f'"{name}"::text' for name in kinds)
    (found,) = query(warehouse, f"SET timezone = 'UTC'; SELECT {statement} FROM raw.fruit")
    assert dict(zip(kinds, found, strict=True)) == {name: k[2] for name, k in kinds.items()}


def test_numbers_in_json_stay_as_they_are_written(
    warehouse: PostgresResource, load_file: LoadFile
) -> None:
    table = Table(
        "fruit",
        "",
        ("id",),
        (
            Column("id", "numeric", ""),
            Column("price", "numeric", "", nullable=True),
            Column("more", "jsonb", "", nullable=True),
            Column("yes", "boolean", "", nullable=True),
        ),
    )
    big = "9" * 5000
    content = f'{{"id": {big}, "price": 1.10, "more": {{"a": [1.50, "é"]}}, "yes": true}}\n'
    load_file("fruit.jsonl", content.encode(), table)
    assert query(warehouse, "SELECT id::text, price::text, more::text, yes FROM raw.fruit") == [
        (big, "1.10", '{"a": [1.50, "é"]}', True)
    ]

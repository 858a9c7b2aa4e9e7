"""Parquet files: what is read of them, what is refused, and what a reader leaves behind."""

import dataclasses
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fruit import FRUIT, OLD_ROWS, parquet, query, rows
from location_kit.postgres import PostgresResource

from postgres_loader.errors import BadInput
from postgres_loader.loading import LoadResult, load
from postgres_loader.sources import open_table_source
from postgres_loader.tables import Column

Load = Callable[..., LoadResult]
COLUMNS: dict[str, Any] = {
    "id": [1, 2],
    "name": ["apple", "fig"],
    "weight_g": [150, 30],
    "picked_at": [datetime(2026, 1, 1, tzinfo=UTC), None],
}


def with_more(type_: str) -> Any:
    """The table with a column `more`."""
    more = Column("more", type_, "", nullable=True)
    return dataclasses.replace(FRUIT, columns=(*FRUIT.columns, more))


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("s", "01:30:01"), ("ms", "01:30:01"), ("us", "01:30:01.000002"), ("ns", "01:30:01.000002")],
)
def test_durations(warehouse: PostgresResource, load_file: Load, unit: str, expected: str) -> None:
    took = timedelta(hours=1, minutes=30, seconds=1, microseconds=2)
    more = pa.array([took, None], pa.duration("us")).cast(pa.duration(unit), safe=False)
    load_file("fruit.parquet", parquet(COLUMNS | {"more": more}), with_more("interval"))
    assert query(warehouse, "SELECT more::text FROM raw.fruit ORDER BY id") == [
        (expected,),
        (None,),
    ]


def test_nested_values_are_json(warehouse: PostgresResource, load_file: Load) -> None:
    more = pa.array(
        [
            {
                "day": date(2026, 1, 31),
                "price": Decimal("12345678901234567890123456.10"),
                "words": 'é "\\\n',
                "counts": [("a", 1)],
            },
            None,
        ],
        pa.struct(
            {
                "day": pa.date32(),
                "price": pa.decimal128(38, 2),
                "words": pa.string(),
                "counts": pa.map_(pa.string(), pa.int64()),
            }
        ),
    )
    load_file("fruit.parquet", parquet(COLUMNS | {"more": more}), with_more("jsonb"))
    found = query(
        warehouse,
        "SELECT more ->> 'day', more ->> 'price', more ->> 'words', more -> 'counts' "
        "FROM raw.fruit ORDER BY id",
    )
    assert found == [
        ("2026-01-31", "12345678901234567890123456.10", 'é "\\\n', {"a": 1}),
        (None, None, None, None),
    ]


def test_decimals_that_would_not_be_exact_are_refused(load_file: Load) -> None:
    exact = pa.array([Decimal("1.5")] * 2, pa.decimal128(38, 1))
    more = pa.array([Decimal("1.5")] * 2, pa.decimal256(39, 1))
    nested = pa.StructArray.from_arrays([exact, more], ["a", "b"])
    table = with_more("numeric")
    load_file("fruit.parquet", parquet(COLUMNS | {"more": exact}), table)
    for each in (more, nested):
        with pytest.raises(BadInput, match="column more: it has decimals of 39 digits; 38 are"):
            load_file("fruit.parquet", parquet(COLUMNS | {"more": each}), table)
        # What is not taken may be anything.
        load_file("fruit.parquet", parquet(COLUMNS | {"more": each}))


def test_names_differ_by_case(warehouse: PostgresResource, load_file: Load) -> None:
    load_file("fruit.parquet", parquet({"ID": [8, 9], "Name": ["x", "y"]} | COLUMNS))
    assert rows(warehouse) == OLD_ROWS
    twice = pa.table([[1], [2], ["x"], [1], [None]], ["id", "id", "name", "weight_g", "picked_at"])
    content = pa.BufferOutputStream()
    pq.write_table(twice, content)
    with pytest.raises(BadInput, match="column 'id' is there twice"):
        load_file("fruit.parquet", content.getvalue().to_pybytes())


def test_texts_that_are_not_utf_8_fail(load_file: Load) -> None:
    names = pa.array([b"fine", b"na\xefve"]).view(pa.string())
    with pytest.raises(BadInput, match=r"s3://b/fruit.parquet: the file cannot be read.*xEFve"):
        load_file("fruit.parquet", parquet(COLUMNS | {"name": names}))


def test_a_file_s_name_is_a_name_and_no_pattern(
    warehouse: PostgresResource, tmp_path: Path
) -> None:
    (tmp_path / "day=1").mkdir()
    for name in ("fruit[1]*.parquet", "fruit1.parquet"):
        keys = COLUMNS if "*" in name else COLUMNS | {"id": [3, 4]}
        (tmp_path / "day=1" / name).write_bytes(parquet(keys))
    path = tmp_path / "day=1" / "fruit[1]*.parquet"
    with path.open("rb") as stream, warehouse.get_connection() as connection:

        def open_source() -> Any:
            return open_table_source(path.as_uri(), stream, path.name, FRUIT)

        load(connection, "raw", FRUIT, open_source, missing="delete")
    assert rows(warehouse) == OLD_ROWS


def test_a_reader_that_stops_early_leaves_no_thread() -> None:
    count = 200_000
    content = parquet(
        {
            "id": list(range(count)),
            "name": ["x" * 20] * count,
            "weight_g": pa.nulls(count, pa.int32()),
            "picked_at": pa.nulls(count, pa.timestamp("us")),
        }
    )
    before = threading.active_count()
    with open_table_source("f", pa.BufferReader(content), "f.parquet", FRUIT) as source:
        assert source.read().startswith(b"0\txxxxxxxxxxxxxxxxxxxx\t\\N\t\\N\n1\t")
    assert threading.active_count() == before

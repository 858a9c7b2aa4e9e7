"""Whatever values a file has, they come back equal: through the fast path and the slow one."""

import contextlib
import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from location_kit.postgres import PostgresResource

from postgres_loader.loading import load
from postgres_loader.sources import open_table_source
from postgres_loader.tables import Column, Table

VALUES = Table(
    "value",
    "Values.",
    ("id",),
    (
        Column("id", "bigint", ""),
        Column("words", "text", "", nullable=True),
        Column("big", "numeric", "", nullable=True),
        Column("ratio", "double precision", "", nullable=True),
        Column("at", "timestamp with time zone", "", nullable=True),
    ),
    max_rejected_share=1.0,
    may_be_empty=True,
)
Row = tuple[str | None, int | None, float | None, datetime | None]
# PostgreSQL has no NUL, and no surrogates, in its texts.
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
tricky = st.lists(
    st.sampled_from(["\\", "N", ".", '"', ",", "\n", "\r", "\t", "null", "'", "é", "🍎", " "]),
    max_size=6,
).map("".join)
rows_of_values = st.lists(
    st.tuples(
        st.none() | words | tricky,
        st.none() | st.integers(-(2**70), 2**70),
        st.none() | st.floats(),
        st.none() | st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),
    ),
    max_size=8,
)
Write = Callable[[Sequence[Row], bool], bytes]


def as_csv(rows: Sequence[Row], bad: bool) -> bytes:
    content = io.StringIO(newline="")
    content.write("id,words,big,ratio,at\r\n")
    for number, (text, *others) in enumerate(rows):
        quoted = "" if text is None else '"' + text.replace('"', '""') + '"'
        # In a line of its own, this is refused as what would end a COPY.
        quoted = quoted.replace("\n\\.", "\n \\.").replace("\r\\.", "\r \\.")
        content.write(f"{number},{quoted},")
        csv.writer(content).writerow([_plain(value) for value in others])
    if bad:
        content.write("99,,x,,\r\n")
    return content.getvalue().encode()


def as_jsonl(rows: Sequence[Row], bad: bool) -> bytes:
    names = VALUES.column_names
    records = [
        dict(zip(names, (number, *(_json(_plain(v)) for v in row)), strict=True))
        for number, row in enumerate(rows)
    ]
    lines = [
        json.dumps(record, ensure_ascii=number % 2 == 0) for number, record in enumerate(records)
    ]
    return "\n".join(lines + ['{"id": 99, "big": "x"}'] * bad).encode()


def as_parquet(rows: Sequence[Row], bad: bool) -> bytes:
    texts, bigs, ratios, times = zip(*rows, strict=True) if rows else ((), (), (), ())
    more = [None] * bad
    table = pa.table(
        {
            "id": pa.array([str(n) for n in range(len(rows))] + ["99"] * bad, pa.string()),
            "words": pa.array([*texts, *more], pa.string()),
            "big": pa.array(
                [None if b is None else str(b) for b in bigs] + ["x"] * bad, pa.string()
            ),
            "ratio": pa.array([*ratios, *more], pa.float64()),
            "at": pa.array([*times, *more], pa.timestamp("us", "UTC")),
        }
    )
    content = io.BytesIO()
    pq.write_table(table, content, row_group_size=3)
    return content.getvalue()


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _json(value: Any) -> Any:
    # JSON cannot write what is not a number, so it is a text there.
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def as_read(row: Row) -> tuple[Any, ...]:
    text, big, ratio, at = row
    # repr() tells -0.0 from 0.0, and knows one NaN.
    return text, big, None if ratio is None else repr(float(ratio)), at


@pytest.fixture
def connection(warehouse: PostgresResource) -> Iterator[Any]:
    with warehouse.get_connection() as connection:
        yield connection


@pytest.mark.parametrize(
    ("suffix", "write"), [("csv", as_csv), ("jsonl", as_jsonl), ("parquet", as_parquet)]
)
@settings(
    # One database for all examples: each load makes the table its file.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rows=rows_of_values, bad=st.booleans())
@example(rows=[("", 0, -0.0, None), (None, None, math.nan, None)], bad=True)
@example(rows=[("\\N", 2**70, math.inf, None), ("a\n \\.\nb", None, -math.inf, None)], bad=False)
def test_values_come_back_equal(
    connection: Any, suffix: str, write: Write, rows: list[Row], bad: bool
) -> None:
    if suffix == "csv":
        rows = [
            (text and text.replace("\n\\.", "\n \\.").replace("\r\\.", "\r \\."), *others)
            for text, *others in rows
        ]
    if not rows and bad:
        rows = [("", None, None, None)]
    content = write(rows, bad)

    def open_source() -> contextlib.AbstractContextManager[Any]:
        return open_table_source("file", io.BytesIO(content), f"value.{suffix}", VALUES)

    result = load(connection, "raw", VALUES, open_source, missing="delete")
    assert (result.rows, result.rejected) == (len(rows), int(bad))
    with connection.cursor() as cursor:
        cursor.execute("SELECT words, big, ratio, at FROM raw.value ORDER BY id")
        found = cursor.fetchall()
    assert [as_read(row) for row in found] == [as_read(row) for row in rows]
    assert load(connection, "raw", VALUES, open_source, missing="delete").changed is False

"""The rows that everything loads: orders of a shop, the same from the same seed, as files.

Of one table there are two editions with the same keys, in which every row differs: loading the
second over the first is an upsert in which every row conflicts and every row changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from table import COLUMNS

SEED = 20261122
CHUNK_ROWS = 100_000
_DAY_US = 86_400_000_000
# 2020-01-01 in microseconds since 1970, and how many days the orders spread over.
_FIRST_US, _DAYS = 18262 * _DAY_US, 2000
_FIRST_NAMES = ("Ada", "Björn", "Chloé", "Dmitri", "Éva", "Fátima", "Σοφία", "Zoë", "李", "Łukasz")
_LAST_NAMES = ("Ångström", "Ben-David", "de la Cruz", "Ñíguez", "O'Neill", "小林", "Smith", "Žižek")
_STATES = ("new", "paid", "packed", "shipped", "returned", "cancelled")
_NOTES = (
    "please ring twice, then leave it at the door",
    'marked "fragile"',
    'the "blue" one, not the green one',
    "für Großmutter, mit Schleife 🎀",
    "as discussed on the phone",
    "two parcels, one invoice, no advertising",
    "vor 12:00 Uhr, sonst beim Nachbarn",
    "日本語の包装でお願いします",
)
_TYPES = {
    "bigint": pa.int64(),
    "integer": pa.int32(),
    "double precision": pa.float64(),
    "text": pa.string(),
    "timestamp with time zone": pa.timestamp("us", tz="UTC"),
}
ARROW_SCHEMA = pa.schema(
    [pa.field(name, _TYPES[type_], nullable) for name, type_, nullable in COLUMNS]
)


@dataclass(frozen=True)
class Files:
    """One edition of the rows, twice: as CSV and as Parquet."""

    csv: Path
    parquet: Path


def write(folder: Path, rows: int, edition: int) -> Files:
    """Write an edition (0 or 1) in constant memory."""
    files = Files(folder / f"orders{edition}.csv", folder / f"orders{edition}.parquet")
    with (
        pa.csv.CSVWriter(files.csv, ARROW_SCHEMA) as csv_file,
        pa.parquet.ParquetWriter(files.parquet, ARROW_SCHEMA) as parquet_file,
    ):
        for batch in batches(rows, edition):
            csv_file.write_batch(batch)
            parquet_file.write_batch(batch)
    return files


def batches(rows: int, edition: int) -> Iterator[pa.RecordBatch]:
    """The rows in the order of their keys, which count from 1."""
    for start in range(0, rows, CHUNK_ROWS):
        yield _batch(start, min(CHUNK_ROWS, rows - start), edition)


def _batch(start: int, rows: int, edition: int) -> pa.RecordBatch:
    random = np.random.default_rng([SEED, edition, start])
    names = pa.array([f"{first} {last}" for first in _FIRST_NAMES for last in _LAST_NAMES])
    ordered = _FIRST_US + random.integers(0, _DAYS * _DAY_US, rows)
    columns = {
        "order_id": np.arange(start + 1, start + 1 + rows),
        "customer_id": random.integers(1, 2**40, rows),
        # Odd in one edition and even in the other: no row is the same in both.
        "quantity": (2 * random.integers(1, 50, rows) + edition).astype(np.int32),
        "price": np.round(random.gamma(2.0, 30.0, rows), 2),
        "weight_kg": pa.array(random.random(rows) * 30, mask=random.random(rows) < 0.1),
        "status": pa.array(_STATES).take(pa.array(random.integers(0, len(_STATES), rows))),
        "customer_name": names.take(pa.array(random.integers(0, len(names), rows))),
        "note": _sometimes(random, pa.array(_NOTES), rows, nulls=0.5),
        "ordered_at": pa.array(ordered, ARROW_SCHEMA.field("ordered_at").type),
        "shipped_at": pa.array(
            ordered + random.integers(0, 5 * _DAY_US, rows),
            ARROW_SCHEMA.field("shipped_at").type,
            mask=random.random(rows) < 0.2,
        ),
    }
    return pa.RecordBatch.from_pydict(columns, schema=ARROW_SCHEMA)


def _sometimes(
    random: np.random.Generator, values: pa.Array, rows: int, *, nulls: float
) -> pa.Array:
    chosen = pa.array(random.integers(0, len(values), rows), mask=random.random(rows) < nulls)
    return values.take(chosen)

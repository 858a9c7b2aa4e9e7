"""A small table for the tests of loading, and files for it."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from location_kit.postgres import PostgresResource
from location_kit.testing import query

from postgres_loader.tables import Column, Table

__all__ = ["FRUIT", "HEADER", "OLD", "OLD_ROWS", "Trickle", "parquet", "query", "rows", "tables"]

FRUIT = Table(
    name="fruit",
    description="Fruit.",
    primary_key=("id",),
    columns=(
        Column("id", "bigint", "Identifies the fruit."),
        Column("name", "text", "Its name."),
        Column("weight_g", "integer", "Weight in grams.", nullable=True),
        Column("picked_at", "timestamp with time zone", "When, UTC.", nullable=True),
    ),
)
HEADER = b"id,name,weight_g,picked_at\n"
OLD = HEADER + b"1,apple,150,2026-01-01T00:00:00Z\n2,fig,30,\n"
OLD_ROWS = [(1, "apple", 150), (2, "fig", 30)]


def rows(warehouse: PostgresResource) -> list[tuple[Any, ...]]:
    return query(warehouse, "SELECT id, name, weight_g FROM raw.fruit ORDER BY id")


def tables(warehouse: PostgresResource) -> list[str]:
    found = query(
        warehouse,
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'raw'::regnamespace",
    )
    return sorted(name for (name,) in found)


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.table(columns), content, **options)
    return content.getvalue()


class Trickle:
    """A stream like S3's: it cannot be sought, and has only read()."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def read(self, size: int, /) -> bytes:
        return self._content.read(size)

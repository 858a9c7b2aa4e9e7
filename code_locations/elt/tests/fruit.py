"""A small table for the tests of loading."""

from typing import Any

from elt.postgres import PostgresResource
from elt.tables import Column, Table

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


def query(warehouse: PostgresResource, statement: str) -> list[tuple[Any, ...]]:
    with warehouse.get_connection() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def rows(warehouse: PostgresResource) -> list[tuple[Any, ...]]:
    return query(warehouse, "SELECT id, name, weight_g FROM raw.fruit ORDER BY id")


def tables(warehouse: PostgresResource) -> list[str]:
    found = query(
        warehouse,
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'raw'::regnamespace",
    )
    return sorted(name for (name,) in found)

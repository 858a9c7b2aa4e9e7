"""Load a file by postgres_loader: with_elt.py FILE. Runs in the environment of elt."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
from postgres_loader.loading import load
from postgres_loader.sources import CopySource, open_table_source
from postgres_loader.tables import Column, Table

import table
from stopwatch import time_load

FILE = Path(sys.argv[1])
if FILE.suffix == ".parquet":
    # Before the clock runs, as for the others: elt does it when it meets such a file.
    import duckdb  # noqa: F401
ORDERS = Table(
    name=table.NAME,
    description="What the benchmark loads.",
    primary_key=(table.KEY,),
    columns=tuple(
        Column(name, type_, description=name, nullable=nullable)
        for name, type_, nullable in table.COLUMNS
    ),
)


@contextmanager
def open_source() -> Iterator[CopySource]:
    """The file as elt's assets open it."""
    with (
        FILE.open("rb") as stream,
        open_table_source(FILE.as_uri(), stream, FILE.name, ORDERS) as source,
    ):
        yield source


def load_file() -> None:
    """In one transaction, from connecting to its end."""
    with closing(psycopg2.connect("")) as connection:
        load(connection, table.SCHEMA, ORDERS, open_source, missing="keep")


time_load(load_file)

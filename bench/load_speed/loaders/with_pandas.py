"""Load a CSV file by pandas: with_pandas.py FILE URL. In chunks, and without a primary key."""

import sys

import pandas as pd
import psycopg2  # noqa: F401
import sqlalchemy

import table
from stopwatch import time_load

CHUNK_ROWS = 20_000
FILE, URL = sys.argv[1:]


def load_file() -> None:
    """Read and write chunk by chunk, in one transaction."""
    times = [name for name, type_, _ in table.COLUMNS if type_.startswith("timestamp")]
    engine = sqlalchemy.create_engine(URL)
    with (
        engine.begin() as connection,
        pd.read_csv(FILE, chunksize=CHUNK_ROWS, parse_dates=times) as chunks,
    ):
        for chunk in chunks:
            chunk.to_sql(
                table.NAME, connection, schema=table.SCHEMA, index=False, if_exists="append"
            )


time_load(load_file)

"""Load a Parquet file by dlt, its fastest way: with_dlt.py FILE append|merge URL FOLDER.

Arrow batches stay as they are until ADBC gives them to PostgreSQL. A first load appends, to the
table that it makes; dlt makes no primary key. `FOLDER` keeps the pipeline's state.
"""

import os
import sys
from collections.abc import Iterator
from typing import Any

# Imported before the clock runs: dlt would do it in the middle of the load.
import adbc_driver_postgresql.dbapi  # noqa: F401
import dlt
import dlt.destinations._adbc_jobs
import dlt.destinations.impl.postgres.postgres
import psycopg2  # noqa: F401
import pyarrow as pa
import pyarrow.parquet

import table
from stopwatch import time_load

FILE, DISPOSITION, URL, FOLDER = sys.argv[1:]
MERGE: Any = {"disposition": "merge", "strategy": os.environ.get("DLT_MERGE", "upsert")}


def row_groups() -> Iterator[pa.Table]:
    """The file as Arrow tables."""
    with pa.parquet.ParquetFile(FILE) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group)


def load_file() -> None:
    """Extract, normalize and load."""
    pipeline = dlt.pipeline(
        "orders",
        pipelines_dir=FOLDER,
        destination=dlt.destinations.postgres(URL),
        dataset_name=table.SCHEMA,
    )
    orders = dlt.resource(
        row_groups(),
        name=table.NAME,
        primary_key=table.KEY,
        write_disposition=MERGE if DISPOSITION == "merge" else "append",
    )
    pipeline.run(orders, loader_file_format="parquet").raise_on_failed_jobs()


time_load(load_file)

"""A load in a process of its own, for tests that kill it."""

import contextlib
import dataclasses
import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from fruit import FRUIT
from location_kit.postgres import PostgresResource

from postgres_loader.loading import load
from postgres_loader.sources import CsvSource

# Each process is a fork of one that has imported all this: an import of Dagster costs 1.5 s of CPU.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["postgres_loader.loading", "location_kit.postgres", "pyarrow.parquet", "pytest"]
)
TOLERANT = dataclasses.replace(FRUIT, max_rejected_share=0.5)


def load_fruit(warehouse: str, file: Path | Connection) -> None:
    """Loads a CSV file, or what comes through a pipe, into raw.fruit."""

    @contextlib.contextmanager
    def open_source() -> Iterator[CsvSource]:
        with (
            file.open("rb") if isinstance(file, Path) else os.fdopen(file.fileno(), "rb") as stream
        ):
            yield CsvSource("file:///fruit.csv", stream, TOLERANT)

    with PostgresResource.model_validate_json(warehouse).get_connection() as connection:
        load(connection, "raw", TOLERANT, open_source, missing="delete")

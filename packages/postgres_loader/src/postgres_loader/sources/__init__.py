"""What can be loaded: files by their format, and records that are already in memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from postgres_loader.errors import BadInput
from postgres_loader.landing_zone import Readable
from postgres_loader.sources.base import CopySource
from postgres_loader.sources.csv_file import CsvSource
from postgres_loader.sources.jsonl import JsonlSource
from postgres_loader.sources.parquet import ParquetSource
from postgres_loader.sources.records import RecordSource
from postgres_loader.sources.streams import Unzipped
from postgres_loader.tables import Table

__all__ = [
    "SUFFIXES",
    "CopySource",
    "CsvSource",
    "JsonlSource",
    "ParquetSource",
    "RecordSource",
    "open_table_source",
]

SUFFIXES = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")


@contextmanager
def open_table_source(
    uri: str,
    stream: Readable,
    name: str,
    table: Table,
    *,
    verify: Callable[[], None] | None = None,
) -> Iterator[CopySource]:
    """The file of the given name as a source, by the name's suffix, which is one of SUFFIXES.

    `verify` is called when the stream has ended; it raises BadInput when the file is not the one
    any more that was opened. Raises BadInput for an unknown suffix, and what the source raises.
    """
    suffix = next((s for s in reversed(SUFFIXES) if name.lower().endswith(s)), None)
    unpack = partial(Unzipped, uri) if suffix and suffix.endswith(".gz") else None
    match suffix:
        case ".csv" | ".csv.gz":
            yield CsvSource(uri, stream, table, unpack=unpack, verify=verify)
        case ".jsonl" | ".jsonl.gz":
            yield JsonlSource(uri, stream, table, unpack=unpack, verify=verify)
        case ".parquet":
            with ParquetSource(uri, stream, table, verify) as source:
                yield source
        case _:
            raise BadInput(
                uri, f"no known format; the name ends with none of {', '.join(SUFFIXES)}"
            )

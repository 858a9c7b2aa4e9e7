"""Parquet files."""

import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from postgres_loader import times
from postgres_loader.errors import BadInput
from postgres_loader.landing_zone import Readable
from postgres_loader.sources.base import (
    BadRow,
    Row,
    RowError,
    TextSource,
    check_count,
    integer_columns,
    undeclared,
    wrong_columns,
)
from postgres_loader.sources.streams import CHUNK_BYTES
from postgres_loader.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa

# Rows and columns together make the memory that a batch takes.
_BATCH_VALUES = 100_000
_MAX_BATCH_ROWS = 16_384


class ParquetSource(TextSource):
    """A Parquet file, of whose columns only those are read that are wanted; rows are counted.

    The format is read from its end, so a stream that cannot be sought goes to a temporary file
    first. Values are taken exactly; of lists, structs and maps, the JSON text. Use it as a context
    manager, or the temporary file stays until the source is collected.

    Raises BadInput when the file is not Parquet, lacks a column of the table, or has one that it
    refuses.
    """

    def __init__(
        self, uri: str, stream: Readable, table: Table, verify: Callable[[], None] | None = None
    ) -> None:
        super().__init__(uri, verify)
        self._table = table
        # Imported here: it takes as long and as much memory as the rest of the location.
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._spool = contextlib.ExitStack()
        file, self._size = self._seekable(stream)
        try:
            # Row groups may be large: read buffered, their columns are not held whole.
            # INT96 is read as nanoseconds otherwise, of which 64 bits hold 1677 to 2262 alone:
            # any other year would become one of these.
            self._parquet = pq.ParquetFile(
                file,
                buffer_size=CHUNK_BYTES,
                pre_buffer=False,
                coerce_int96_timestamp_unit="us",
            )
        except (pa.ArrowException, OSError) as error:
            self.close()
            raise BadInput(uri, f"this is not a Parquet file: {error}") from None
        try:
            self._take_columns(self._parquet.schema_arrow.names, table)
        except BadInput:
            self.close()
            raise

    def __enter__(self) -> "ParquetSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the temporary file back."""
        self._spool.close()

    @property
    def bytes_read(self) -> int:
        return self._size

    def chunks(self) -> Iterator[bytes]:
        from postgres_loader.sources.arrow_text import all_match, copy_lines, needs_escapes

        schema = self._parquet.schema_arrow
        escaped = [needs_escapes(schema.field(name).type) for name in self.columns]
        # What Parquet has as times is exact; texts are looked at.
        timed = [
            number
            for number, name in enumerate(self.columns)
            if name in times.columns(self._table) and escaped[number]
        ]
        for texts in self._batches():
            if not all(all_match(texts[number], times.pattern(self._table)) for number in timed):
                raise RowError(self.uri, times.reason(self._table))
            yield copy_lines(texts, escaped)

    def rows(self) -> Iterator[Row | BadRow]:
        import pyarrow as pa

        number = 0
        for texts in self._batches():
            # As bytes: Arrow does not check that what is called a string is UTF-8.
            columns = [text.cast(pa.large_binary()).to_pylist() for text in texts]
            for values in zip(*columns, strict=True):
                number += 1
                try:
                    yield Row(number, [None if v is None else v.decode() for v in values])
                except UnicodeDecodeError as error:
                    byte = error.object[error.start]
                    reason = f'invalid byte sequence for encoding "UTF8": 0x{byte:02x}'
                    yield BadRow(number, reason, str(values))

    def _batches(self) -> "Iterator[list[pa.Array]]":
        """The columns, as texts, of some rows at a time."""
        import pyarrow as pa

        from postgres_loader.sources.arrow_text import UnsupportedType, as_text, whole_numbers

        whole = integer_columns(self._table)
        size = max(1, min(_MAX_BATCH_ROWS, _BATCH_VALUES // len(self.columns)))
        try:
            for batch in self._parquet.iter_batches(batch_size=size, columns=list(self.columns)):
                if batch.num_rows:
                    texts = [as_text(name, batch.column(name)) for name in self.columns]
                    yield [
                        whole_numbers(batch.column(name), text) if name in whole else text
                        for name, text in zip(self.columns, texts, strict=True)
                    ]
        except UnsupportedType as error:
            raise BadInput(self.uri, str(error), column=error.column) from None
        except (pa.ArrowException, OSError) as error:
            raise BadInput(self.uri, f"the file cannot be read to its end: {error}") from None

    def _take_columns(self, found: Sequence[str], table: Table) -> None:
        check_count(self.uri, len(found))
        if wrong := wrong_columns(table, found):
            problem, column = wrong
            raise BadInput(self.uri, problem, column=column)
        self.new_columns, self.extra = undeclared(self.uri, table, found)
        self.columns = (*table.column_names, *self.extra)

    def _seekable(self, stream: Readable) -> tuple[Any, int]:
        """The stream, or a file with its content; and the number of bytes."""
        if isinstance(stream, io.IOBase) and stream.seekable():
            size = stream.seek(0, io.SEEK_END)
            stream.seek(0)
            return stream, size
        # In a container the usual place for temporary files is memory; the storage folder is not.
        folder = os.environ.get("DAGSTER_STORAGE_DIR") or None
        file = tempfile.TemporaryFile(prefix="elt-", dir=folder)  # noqa: SIM115 - close() does
        self._spool.enter_context(file)
        while chunk := stream.read(CHUNK_BYTES):
            file.write(chunk)
        return file, file.tell()

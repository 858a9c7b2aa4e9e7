"""Parquet files."""

import contextlib
import io
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from postgres_loader import times
from postgres_loader.errors import BadInput
from postgres_loader.landing_zone import Readable
from postgres_loader.sources.base import (
    BadRow,
    Row,
    RowError,
    TextSource,
    check_count,
    undeclared,
    wrong_columns,
)
from postgres_loader.sources.parquet_text import copy_field, durations, quoted, text
from postgres_loader.sources.streams import CHUNK_BYTES
from postgres_loader.tables import Table

# More than one thread, and pages that are read ahead, take memory and gain nothing: PostgreSQL is
# what a load waits for. See docs/decisions/0021-parquet-by-duckdb.md.
_SETTINGS = """
    SET threads = 1;
    SET disable_parquet_prefetching = true;
    SET TimeZone = 'UTC';
    -- Nothing is written to disk, and nothing is downloaded.
    SET temp_directory = '';
    SET autoinstall_known_extensions = false;
    SET autoload_known_extensions = false;
"""
# Of more digits, DuckDB makes floats.
_MAX_DECIMAL_DIGITS = 38
_ROWS_PER_FETCH = 1000


class ParquetSource(TextSource):
    """A Parquet file, of whose columns only those are read that are wanted; rows are counted.

    DuckDB reads it, and makes the lines. Values are taken exactly; of lists, structs and maps, the
    JSON text. The format is read from its end, so a source that is not a file on disk goes to a
    temporary one first. Use it as a context manager, or that stays until the source is collected.

    Raises BadInput when the file is not Parquet, lacks a column of the table, or has one that it
    refuses, or a type whose values DuckDB would round.
    """

    def __init__(
        self, uri: str, stream: Readable, table: Table, verify: Callable[[], None] | None = None
    ) -> None:
        super().__init__(uri, verify)
        # Imported here: a location that loads no Parquet has no use for its 40 MB of memory.
        import duckdb

        self._error = duckdb.Error
        self._resources = contextlib.ExitStack()
        try:
            file, self._size = self._on_disk(stream)
            self._path = f"/dev/fd/{file}"
            # This file alone: with its path, a * or = in the name would have a meaning.
            self._file = f"read_parquet('{self._path}', hive_partitioning = false)"
            self._database = self._resources.enter_context(duckdb.connect())
            self._database.execute(_SETTINGS)
            self._take_columns(table)
        except duckdb.Error as error:
            self.close()
            raise BadInput(uri, f"this is not a Parquet file: {self._said(error)}") from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "ParquetSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading, and give the temporary file back."""
        self._resources.close()

    @property
    def bytes_read(self) -> int:
        return self._size

    def chunks(self) -> Iterator[bytes]:
        reader, writer = os.pipe()
        # Closed in reverse: without a reader, the thread's next write fails, and it ends.
        pool = self._resources.enter_context(ThreadPoolExecutor(1, "parquet"))
        lines = self._resources.enter_context(os.fdopen(reader, "rb", 0))
        written = pool.submit(self._write_lines, writer)
        while chunk := lines.read(CHUNK_BYTES):
            yield chunk
        written.result()

    def rows(self) -> Iterator[Row | BadRow]:
        with self._readable():
            found = self._database.execute(f"SELECT {', '.join(self._texts)} FROM {self._file}")
            fetched = iter(lambda: found.fetchmany(_ROWS_PER_FETCH), [])
            for number, values in enumerate(itertools.chain.from_iterable(fetched), start=1):
                yield Row(number, values)

    def _write_lines(self, writer: int) -> None:
        fields = ", ".join(self._fields)
        with os.fdopen(writer, "wb"), self._readable():
            # Quotes are off, so that every field stands as it is.
            self._database.execute(
                f"COPY (SELECT {fields} FROM {self._file}) TO '/dev/fd/{writer}' (FORMAT csv, "
                r"HEADER false, DELIMITER '\t', QUOTE '', ESCAPE '', NULLSTR '\N', "
                "USE_TMP_FILE false)"
            )

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        """Raises RowError for a time that is none, and BadInput for what DuckDB raises else."""
        try:
            yield
        except self._error as error:
            said = self._said(error)
            if self._no_time in said:
                raise RowError(self.uri, self._no_time) from None
            raise BadInput(self.uri, f"the file cannot be read to its end: {said}") from None

    def _said(self, error: Exception) -> str:
        return str(error).replace(self._path, self.uri)

    def _take_columns(self, table: Table) -> None:
        found = self._schema()
        check_count(self.uri, len(found))
        if wrong := wrong_columns(table, [name for name, _ in found]):
            problem, column = wrong
            raise BadInput(self.uri, problem, column=column)
        # DuckDB takes ID and id for the same name, and gives the later one another: by place, each
        # is its own.
        described = self._database.execute(f"DESCRIBE FROM {self._file}").fetchall()
        columns = {
            name: (quoted(as_read), type_)
            for (name, _), (as_read, type_, *_) in zip(found, described, strict=True)
        }
        self.undeclared, self.extra = undeclared(self.uri, table, columns)
        self.columns = (*table.column_names, *self.extra)
        digits = dict(found)
        for name in self.columns:
            if digits[name] > _MAX_DECIMAL_DIGITS:
                reason = f"it has decimals of {digits[name]} digits; {_MAX_DECIMAL_DIGITS} are read"
                raise BadInput(self.uri, reason, column=name)
        declared = {column.name: column.type for column in table.columns}
        units = durations(self._database, self._path) if "interval" in declared.values() else {}
        self._texts, self._fields = [], []
        self._no_time = times.reason(table)
        timed = times.columns(table)
        for name in self.columns:
            column, type_ = columns[name]
            as_text = text(column, type_, declared.get(name), units.get(name))
            # What Parquet has as times is exact; texts are looked at.
            pattern = times.whole(table) if name in timed else None
            self._texts.append(as_text)
            self._fields.append(copy_field(as_text, type_, pattern, self._no_time))

    def _schema(self) -> list[tuple[str, int]]:
        """Names of the columns, and for each the most digits of a decimal that is in it, or 0."""
        (_, *elements) = self._database.execute(
            f"SELECT name, coalesce(num_children, 0), CASE WHEN type LIKE '%BYTE_ARRAY' THEN "
            f"coalesce(precision, 0) ELSE 0 END FROM parquet_schema('{self._path}')"
        ).fetchall()
        found: list[tuple[str, int]] = []
        open_elements = 0
        # What is nested in a column comes right behind it.
        for name, children, digits in elements:
            if not open_elements:
                found.append((name, 0))
                open_elements = 1
            open_elements += children - 1
            column, most = found[-1]
            found[-1] = (column, max(most, digits))
        return found

    def _on_disk(self, stream: Readable) -> tuple[int, int]:
        """The descriptor of a file with the stream's content, and the number of bytes."""
        if isinstance(stream, io.IOBase) and stream.seekable():
            with contextlib.suppress(OSError):
                return stream.fileno(), stream.seek(0, io.SEEK_END)
        # In a container the usual place for temporary files is memory; the storage folder is not.
        folder = os.environ.get("DAGSTER_STORAGE_DIR") or None
        file = tempfile.TemporaryFile(prefix="elt-", dir=folder)  # noqa: SIM115 - close() does
        self._resources.enter_context(file)
        while chunk := stream.read(CHUNK_BYTES):
            file.write(chunk)
        file.flush()
        return file.fileno(), file.tell()

"""What PostgreSQL's COPY can read: a CSV file, or records that are already in memory."""

import codecs
import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from elt.errors import BadInput
from elt.landing_zone import Readable
from elt.tables import Table

# A header is a line; where this many bytes bring no end of line, the file is something else.
HEADER_LIMIT_BYTES = 256 * 1024


class CopySource(Protocol):
    """A stream for COPY.

    Attributes:
        uri: where the rows come from, for readers of messages.
        columns: names of the columns, in the order of the stream.
        copy_options: COPY's options for the stream's format.
        bytes_read: size of what was read so far, headers included.
        failure: the exception that ended `read()`, which the database driver does not pass on.
    """

    uri: str
    columns: tuple[str, ...]
    copy_options: str
    bytes_read: int
    failure: Exception | None

    def read(self, size: int = -1, /) -> bytes: ...

    def bad_input(
        self, reason: str, line: int | None, column: str | None, value: str | None
    ) -> BadInput:
        """The error for the given line of the stream, which counts from 1."""


class CsvSource:
    """A CSV file: UTF-8, with or without BOM, comma-separated, with a header in any order.

    As COPY has it, an empty field is null and a quoted empty one is an empty string. The rows
    are not parsed here, only streamed, so a row or a field may be as long as PostgreSQL allows.

    Raises BadInput when the header does not name exactly the table's columns.
    """

    # COPY reads the header too, and so counts lines as the file has them.
    copy_options = "FORMAT csv, HEADER"

    def __init__(self, uri: str, stream: Readable, table: Table) -> None:
        self.uri = uri
        self.failure: Exception | None = None
        self._stream = stream
        start = stream.read(HEADER_LIMIT_BYTES)
        self.bytes_read = len(start)
        if not start:
            raise BadInput(uri, "the file is empty, not even a header is there (0 bytes)")
        # A byte order mark would be read as a part of the first column's name.
        self._pending = start.removeprefix(codecs.BOM_UTF8)
        self.columns = self._header(table)
        self._last_bytes = b"\n"

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._read(size)
        except Exception as error:
            self.failure = error
            raise

    def bad_input(
        self, reason: str, line: int | None, column: str | None, value: str | None
    ) -> BadInput:
        return BadInput(self.uri, reason, line=line, column=column, value=value)

    def _read(self, size: int) -> bytes:
        chunk, self._pending = self._pending, b""
        if not chunk:
            chunk = self._stream.read(size)
            self.bytes_read += len(chunk)
        # PostgreSQL before 18 takes such a line for the end of the data, and says nothing.
        recent = self._last_bytes + chunk
        if b"\n\\." in recent or b"\r\\." in recent:
            raise BadInput(self.uri, r"a line begins with \. which would end the load there")
        self._last_bytes = recent[-2:]
        return chunk

    def _header(self, table: Table) -> tuple[str, ...]:
        record = b""
        for line in self._pending.splitlines(keepends=True):
            record += line
            if record.count(b'"') % 2 == 0:
                break
        if record == self._pending and self.bytes_read >= HEADER_LIMIT_BYTES:
            reason = f"no header line within the first {HEADER_LIMIT_BYTES} bytes"
            raise BadInput(self.uri, reason, line=1)
        try:
            header = next(csv.reader([record.decode()], strict=True), [])
        except UnicodeDecodeError as error:
            raise BadInput(self.uri, f"the file is not UTF-8: {error}", line=1) from None
        except csv.Error as error:
            raise BadInput(self.uri, f"the header cannot be read: {error}", line=1) from None
        self._check_header(header, table)
        return tuple(header)

    def _check_header(self, header: Sequence[str], table: Table) -> None:
        declared = table.column_names
        problems = {
            "is missing": [name for name in declared if name not in header],
            "is unknown": [name for name in header if name not in declared],
            "is there twice": sorted({name for name in header if header.count(name) > 1}),
        }
        for problem, names in problems.items():
            if names:
                named = f"column {', '.join(map(repr, names))} {problem}"
                reason = f"{named}; the header is {_shortened(','.join(header))!r}"
                raise BadInput(self.uri, reason, line=1, column=names[0])


class RecordSource:
    """Records in memory; `bad_input()` counts records where a file would count lines."""

    copy_options = "FORMAT text"

    def __init__(self, uri: str, records: Iterable[Mapping[str, Any]], table: Table) -> None:
        self.uri = uri
        self.columns = table.column_names
        self.failure: Exception | None = None
        self.bytes_read = 0
        lines = ("\t".join(_as_text(record.get(c)) for c in self.columns) for record in records)
        text = "".join(f"{line}\n" for line in lines)
        # A lone surrogate, which JSON can spell, is PostgreSQL's to refuse: it knows the record.
        self._content = io.BytesIO(text.encode(errors="surrogatepass"))

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._content.read(size)
        self.bytes_read += len(chunk)
        return chunk

    def bad_input(
        self, reason: str, line: int | None, column: str | None, value: str | None
    ) -> BadInput:
        return BadInput(self.uri, reason, record=line, column=column, value=value)


# COPY's text format keeps every record on one line, so that line n is record n.
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def _as_text(value: Any) -> str:
    if value is None:
        return r"\N"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.translate(_ESCAPES)


def _shortened(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"

"""CSV files."""

import csv
from collections.abc import Callable, Iterator, Sequence

from postgres_loader.errors import BadInput
from postgres_loader.landing_zone import Readable
from postgres_loader.sources.base import (
    BadRow,
    Row,
    check_count,
    in_chunks,
    shortened,
    undeclared,
    wrong_columns,
)
from postgres_loader.sources.csv_dialect import Dialect
from postgres_loader.sources.csv_hints import hint, kind_of
from postgres_loader.sources.csv_times import TimesCheck
from postgres_loader.sources.streams import LINE_LIMIT_BYTES, Counted, any_lines, as_utf8
from postgres_loader.tables import Table
from postgres_loader.times import csv_rows

# A header is a line; where this many bytes bring no end of line, the file is something else.
HEADER_LIMIT_BYTES = 256 * 1024


class CsvSource:
    """A CSV file, with a header in any order; written and encoded as the table says.

    As COPY has it, an empty field is null and a quoted empty one is an empty string, see `Dialect`.
    For COPY the rows are not parsed here, only streamed, so a row or a field may be as long as
    PostgreSQL allows; unless the table declares what COPY cannot read.

    Raises BadInput when the header lacks a column of the table, or has one that it refuses.
    """

    size: int | None = None

    def __init__(
        self,
        uri: str,
        stream: Readable,
        table: Table,
        *,
        unpack: Callable[[Readable], Readable] | None = None,
        verify: Callable[[], None] | None = None,
    ) -> None:
        self.uri = uri
        self.failure: Exception | None = None
        self._verify = verify
        self._stored = Counted(stream)
        unpacked = unpack(self._stored) if unpack else self._stored
        self._stream = as_utf8(uri, unpacked, table.encoding)
        self._pending = self._stream.read(HEADER_LIMIT_BYTES)
        if not self._pending:
            size = self.bytes_read
            raise BadInput(uri, f"the file is empty, not even a header is there ({size} bytes)")
        self._table = table
        self.quote = table.quote.encode()
        if kind := kind_of(self._pending):
            raise BadInput(uri, f"this is not CSV but {kind}")
        header, self.newline, header_bytes = self._header()
        self._take_columns(header, table)
        self._last_bytes = b"\n"
        self._dialect = Dialect(table, self.columns)
        self.decimal_commas = self._dialect.decimal_commas
        self._rewritten = in_chunks(self._rewrite()) if self._dialect.rewrites else None
        self._times = TimesCheck(
            csv_rows(self.columns, table), uri, skip=header_bytes, quote=self.quote
        )

    @property
    def bytes_read(self) -> int:
        return self._stored.bytes_read

    @property
    def copy_options(self) -> str:
        # COPY reads the header too, and so counts lines as the file has them.
        return f"{self.rest_options}, HEADER"

    @property
    def rest_options(self) -> str:
        return self._dialect.copy_options

    def read(self, size: int = -1, /) -> bytes:
        try:
            chunk = self._read(size) if self._rewritten is None else next(self._rewritten, b"")
            self._times.take(chunk)
            return chunk
        except Exception as error:
            self.failure = error
            raise

    def rows(self) -> Iterator[Row | BadRow]:
        """As COPY would read them, but a row that cannot be read does not end it.

        Python's csv is not used for that: it does not tell null from an empty string before 3.13,
        and takes quotes within a field for something else than COPY does.
        """
        expected = len(self.columns)
        records = self._records()
        next(records, None)
        for line, record in records:
            content = record.removesuffix(b"\n").removesuffix(b"\r")
            if self._dialect.is_blank(content):
                continue
            try:
                values = self._dialect.fields(content.decode())
            except UnicodeDecodeError as error:
                byte = content[error.start]
                reason = f'invalid byte sequence for encoding "UTF8": 0x{byte:02x}'
                yield BadRow(line, reason, content.decode(errors="backslashreplace"))
                continue
            if len(values) == expected:
                yield Row(line, values)
            else:
                reason = "extra data after last expected column"
                if len(values) < expected:
                    reason = f'missing data for column "{self.columns[len(values)]}"'
                yield BadRow(line, reason, content.decode())

    def verify(self) -> None:
        if self._verify:
            self._verify()

    def bad_input(
        self, reason: str, line: int | None, column: str | None, value: str | None
    ) -> BadInput:
        return BadInput(self.uri, reason, line=line, column=column, value=value)

    def _read(self, size: int) -> bytes:
        chunk, self._pending = self._pending, b""
        if not chunk:
            chunk = self._stream.read(size)
        # PostgreSQL before 18 takes such a line for the end of the data, and says nothing.
        # Most files have no backslash at all, which is found out ten times as fast.
        if b"\\" in chunk or b"\\" in self._last_bytes:
            recent = self._last_bytes + chunk
            if b"\n\\." in recent or b"\r\\." in recent:
                raise BadInput(self.uri, r"a line begins with \. which would end the load there")
        self._last_bytes = (self._last_bytes + chunk[-2:])[-2:]
        return chunk

    def _rewrite(self) -> Iterator[bytes]:
        records = (record for _, record in self._records())
        yield next(records, b"")
        yield from map(self._dialect.rewritten, records)

    def _records(self) -> Iterator[tuple[int, bytes]]:
        """Records with the line in which each begins: lines, joined where a quote is open."""
        begin, size, quoted = 1, 0, False
        record: list[bytes] = []
        stream = _Reading(self._read)
        for line, content in enumerate(any_lines(self.uri, stream), start=1):
            record.append(content)
            size += len(content)
            quoted ^= content.count(self.quote) % 2 == 1
            if not quoted:
                yield begin, b"".join(record)
                begin, size, record = line + 1, 0, []
            elif size > LINE_LIMIT_BYTES:
                break
        if quoted:
            reason = "unterminated CSV quoted field: here, or before, a quote is not closed"
            raise BadInput(self.uri, reason, line=begin)

    def _header(self) -> tuple[list[str], bytes, int]:
        """The names, what ends the lines, and the header's size in bytes."""
        record, table = b"", self._table
        for line in self._pending.splitlines(keepends=True):
            record += line
            if record.count(self.quote) % 2 == 0:
                break
        if record == self._pending and len(record) >= HEADER_LIMIT_BYTES:
            reason = f"no header line within the first {HEADER_LIMIT_BYTES} bytes"
            raise BadInput(self.uri, reason, line=1)
        if b"\0" in record:
            reason = (
                "the header has NUL bytes; UTF-16 needs a byte order mark, or to be declared as "
                "the table's encoding"
            )
            raise BadInput(self.uri, reason, line=1)
        try:
            text = [record.decode()]
            read = csv.reader(text, delimiter=table.delimiter, quotechar=table.quote, strict=True)
            header = next(read, [])
        except UnicodeDecodeError as error:
            reason = f"the file is not UTF-8: {error}; if it is meant to be in another encoding, "
            raise BadInput(self.uri, f"{reason}declare that of the table", line=1) from None
        except csv.Error as error:
            found = hint(table, record.decode().strip().split(table.delimiter))
            raise BadInput(self.uri, f"the header cannot be read: {error}{found}", line=1) from None
        return header, b"\r" if record.endswith(b"\r") else b"\n", len(record)

    def _take_columns(self, header: Sequence[str], table: Table) -> None:
        check_count(self.uri, len(header))
        shown = shortened(table.delimiter.join(header))
        nameless = [number for number, name in enumerate(header, start=1) if not name.strip()]
        header = [
            f"column {number} (no name)" if number in nameless else name
            for number, name in enumerate(header, start=1)
        ]
        if wrong := wrong_columns(table, header):
            problem, column = wrong
            reason = f"{problem}; the header is {shown!r}{hint(table, header)}"
            raise BadInput(self.uri, reason, line=1, column=column)
        if nameless and table.new_columns != "report":
            columns = "columns {} have" if len(nameless) > 1 else "column {} has"
            said = columns.format(", ".join(map(str, nameless)))
            raise BadInput(self.uri, f"{said} no name; the header is {shown!r}", line=1)
        self.undeclared, self.extra = undeclared(self.uri, table, header, line=1)
        wanted = {*table.column_names, *self.extra}
        self.columns = tuple(
            name if name in wanted else f"__ignored_{number}"
            for number, name in enumerate(header, start=1)
        )


class _Reading:
    """A stream of what a function reads."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.read = read

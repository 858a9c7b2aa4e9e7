"""CSV files."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence

from postgres_loader.errors import BadInput
from postgres_loader.landing_zone import Readable
from postgres_loader.sources.base import (
    BadRow,
    Row,
    check_count,
    shortened,
    undeclared,
    wrong_columns,
)
from postgres_loader.sources.csv_hints import hint, kind_of
from postgres_loader.sources.csv_times import TimesCheck
from postgres_loader.sources.streams import LINE_LIMIT_BYTES, Counted, any_lines, as_utf8
from postgres_loader.tables import Table
from postgres_loader.times import csv_rows

# A header is a line; where this many bytes bring no end of line, the file is something else.
HEADER_LIMIT_BYTES = 256 * 1024
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')


class CsvSource:
    """A CSV file, with a header in any order; separated and encoded as the table says.

    As COPY has it, an empty field is null and a quoted empty one is an empty string; but in a
    nullable column that is not text, it is null as well: exports that quote everything have it
    so. For COPY the rows are not parsed here, only streamed, so a row or a field may be as long as
    PostgreSQL allows.

    Raises BadInput when the header lacks a column of the table, or has one that it refuses.
    """

    quote = b'"'
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
        if kind := kind_of(self._pending):
            raise BadInput(uri, f"this is not CSV but {kind}")
        header, self.newline, header_bytes = self._header()
        self._take_columns(header, table)
        self._last_bytes = b"\n"
        nulled = {
            column.name for column in table.columns if column.nullable and column.type != "text"
        }
        self._nulls = [number for number, name in enumerate(self.columns) if name in nulled]
        self._times = TimesCheck(csv_rows(self.columns, table), uri, skip=header_bytes)

    @property
    def bytes_read(self) -> int:
        return self._stored.bytes_read

    @property
    def copy_options(self) -> str:
        # COPY reads the header too, and so counts lines as the file has them.
        return f"{self.rest_options}, HEADER"

    @property
    def rest_options(self) -> str:
        names = ", ".join(f'"{self.columns[number]}"' for number in self._nulls)
        force = f", FORCE_NULL ({names})" if names else ""
        return f"FORMAT csv, DELIMITER E'\\x{ord(self._table.delimiter):02x}'{force}"

    def read(self, size: int = -1, /) -> bytes:
        try:
            chunk = self._read(size)
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
            if not content and expected > 1:
                continue
            try:
                values = _fields(content.decode(), self._table.delimiter)
            except UnicodeDecodeError as error:
                byte = content[error.start]
                reason = f'invalid byte sequence for encoding "UTF8": 0x{byte:02x}'
                yield BadRow(line, reason, content.decode(errors="backslashreplace"))
                continue
            if len(values) == expected:
                for number in self._nulls:
                    values[number] = values[number] or None
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

    def _records(self) -> Iterator[tuple[int, bytes]]:
        """Records with the line in which each begins: lines, joined where a quote is open."""
        begin, size, quoted = 1, 0, False
        record: list[bytes] = []
        stream = _Reading(self._read)
        for line, content in enumerate(any_lines(self.uri, stream), start=1):
            record.append(content)
            size += len(content)
            quoted ^= content.count(b'"') % 2 == 1
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
        record = b""
        for line in self._pending.splitlines(keepends=True):
            record += line
            if record.count(b'"') % 2 == 0:
                break
        if record == self._pending and len(record) >= HEADER_LIMIT_BYTES:
            reason = f"no header line within the first {HEADER_LIMIT_BYTES} bytes"
            raise BadInput(self.uri, reason, line=1)
        if b"\0" in record:
            reason = "the header has NUL bytes; UTF-16 needs a byte order mark"
            raise BadInput(self.uri, reason, line=1)
        try:
            delimiter = self._table.delimiter
            header = next(csv.reader([record.decode()], delimiter=delimiter, strict=True), [])
        except UnicodeDecodeError as error:
            reason = f"the file is not UTF-8: {error}; if it is meant to be in another encoding, "
            raise BadInput(self.uri, f"{reason}declare that of the table", line=1) from None
        except csv.Error as error:
            raise BadInput(self.uri, f"the header cannot be read: {error}", line=1) from None
        return header, b"\r" if record.endswith(b"\r") else b"\n", len(record)

    def _take_columns(self, header: Sequence[str], table: Table) -> None:
        check_count(self.uri, len(header))
        if wrong := wrong_columns(table, header):
            problem, column = wrong
            shown = shortened(table.delimiter.join(header))
            reason = f"{problem}; the header is {shown!r}{hint(table, header)}"
            raise BadInput(self.uri, reason, line=1, column=column)
        self.new_columns, self.extra = undeclared(self.uri, table, header, line=1)
        wanted = {*table.column_names, *self.extra}
        self.columns = tuple(
            name if name in wanted else f"__ignored_{number}"
            for number, name in enumerate(header, start=1)
        )


class _Reading:
    """A stream of what a function reads."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.read = read


def _fields(record: str, delimiter: str) -> list[str | None]:
    if '"' not in record:
        return [field or None for field in record.split(delimiter)]
    fields: list[str | None] = []
    parts: list[str] = []
    quoted = False
    for part in record.split(delimiter):
        parts.append(part)
        quoted ^= part.count('"') % 2 == 1
        if not quoted:
            fields.append(_unquoted(delimiter.join(parts)))
            parts = []
    return fields


def _unquoted(field: str) -> str | None:
    if '"' not in field:
        return field or None
    return _QUOTED.sub(lambda quoted: quoted[1].replace('""', '"'), field)

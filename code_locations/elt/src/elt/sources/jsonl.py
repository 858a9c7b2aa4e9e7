"""JSON lines: a file with a JSON object in each line."""

import json
from collections.abc import Callable, Iterator

from elt.errors import BadInput
from elt.landing_zone import Readable
from elt.sources.base import (
    MORE,
    BadRow,
    Row,
    RowError,
    TextSource,
    check_added,
    check_count,
    copy_line,
    json_text,
    refuse_new,
    shortened,
)
from elt.sources.streams import CHUNK_BYTES, Counted, as_utf8, lines
from elt.tables import Table

# Numbers stay the text that they are: a float would lose digits, and an int has a limit.
_decode = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str).decode


class JsonlSource(TextSource):
    """A JSON object in each line, in UTF-8 or what the table says; its fields are the columns.

    A field that is not there is null. Strings are taken as they are, numbers as they are written,
    objects and lists as JSON. Empty lines are left out. Which fields there are shows only in the
    end: undeclared ones of a table that adds such are in the column MORE, as a JSON object.
    """

    def __init__(
        self,
        uri: str,
        stream: Readable,
        table: Table,
        *,
        unpack: Callable[[Readable], Readable] | None = None,
        verify: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(uri, verify)
        self._table = table
        self._stored = Counted(stream)
        unpacked = unpack(self._stored) if unpack else self._stored
        self._stream = as_utf8(uri, unpacked, table.encoding)
        self._declared = frozenset(table.column_names)
        self._new: dict[str, None] = {}
        more = (MORE,) if table.new_columns == "add" else ()
        self.columns = (*table.column_names, *more)

    @property
    def bytes_read(self) -> int:
        return self._stored.bytes_read

    @property
    def new_columns(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(self._new)

    def chunks(self) -> Iterator[bytes]:
        parts: list[bytes] = []
        size = 0
        for row in self.rows():
            if isinstance(row, BadRow):
                raise RowError(self.uri, row.reason, line=row.line)
            parts.append(copy_line(row.values))
            size += len(parts[-1])
            if size >= CHUNK_BYTES:
                yield b"".join(parts)
                parts, size = [], 0
        if parts:
            yield b"".join(parts)

    def rows(self) -> Iterator[Row | BadRow]:
        for number, line in enumerate(lines(self.uri, self._stream), start=1):
            if line.isspace():
                continue
            try:
                yield Row(number, self._values(line.decode(), number))
            except UnicodeDecodeError as error:
                reason = f'invalid byte sequence for encoding "UTF8": 0x{line[error.start]:02x}'
                yield BadRow(number, reason, line.decode(errors="backslashreplace"))
            except (json.JSONDecodeError, TypeError, RecursionError) as error:
                reason = f"this is not a JSON object: {error}"
                yield BadRow(number, reason, line.decode())

    def bad_input(
        self, reason: str, line: int | None, column: str | None, value: str | None
    ) -> BadInput:
        return BadInput(self.uri, reason, line=line, column=column, value=value)

    def _values(self, line: str, number: int) -> list[str | None]:
        """Raises TypeError when the line is JSON but no object."""
        record = _decode(line)
        if not isinstance(record, dict):
            raise TypeError(f"it begins {shortened(line.strip(), 40)!r}")
        if any(isinstance(value, dict | list) for value in record.values()):
            # Within JSON text, numbers have to be numbers.
            plain = json.loads(line)
            record = {
                name: plain[name] if isinstance(value, dict | list) else value
                for name, value in record.items()
            }
        new = record.keys() - self._declared
        if new:
            self._meet([name for name in record if name in new], number)
        values = [json_text(record.get(name)) for name in self._table.column_names]
        if self._table.new_columns == "add":
            more = {name: json_text(record[name]) for name in record if name in new}
            values.append(json.dumps(more, ensure_ascii=False) if more else None)
        return values

    def _meet(self, names: list[str], line: int) -> None:
        refuse_new(self.uri, self._table, names, line)
        if any(name not in self._new for name in names):
            self._new |= dict.fromkeys(names)
            if self._table.new_columns == "add":
                check_added(self.uri, names)
            # Without the check, an object with values for keys would fill the memory.
            check_count(self.uri, len(self._declared) + len(self._new))

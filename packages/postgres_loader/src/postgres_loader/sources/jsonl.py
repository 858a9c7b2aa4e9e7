"""JSON lines: a file with a JSON object in each line."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Never

from postgres_loader.errors import BadInput
from postgres_loader.landing_zone import Readable
from postgres_loader.sources.base import (
    INTEGER_TYPES,
    MORE,
    BadRow,
    Row,
    RowError,
    TextSource,
    as_integer,
    check_added,
    check_count,
    copy_line,
    in_chunks,
    refuse_new,
    shortened,
)
from postgres_loader.sources.streams import Counted, as_utf8, lines
from postgres_loader.tables import Table
from postgres_loader.times import TextTimes


class _Number(str):
    """A number as it is written: a float would lose digits, and an int has a limit."""


def _refuse_constant(name: str) -> Never:
    raise TypeError(f"{name} is not a JSON value")


_decode = json.JSONDecoder(
    parse_float=_Number, parse_int=_Number, parse_constant=_refuse_constant
).decode


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
        self._integers = frozenset(table.columns_of(INTEGER_TYPES))
        self._declared = frozenset(table.column_names)
        self._new: dict[str, None] = {}
        self._times = TextTimes(table.column_names, table)
        more = (MORE,) if table.new_columns == "add" else ()
        self.columns = (*table.column_names, *more)

    @property
    def bytes_read(self) -> int:
        return self._stored.bytes_read

    @property
    def undeclared(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(self._new)

    def chunks(self) -> Iterator[bytes]:
        return in_chunks(self._copy_lines())

    def _copy_lines(self) -> Iterator[bytes]:
        for row in self.rows():
            if isinstance(row, BadRow):
                raise RowError(self.uri, row.reason, line=row.line)
            if wrong := self._times.first_wrong(row.values):
                raise RowError(self.uri, wrong, line=row.line)
            yield copy_line(row.values)

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
        new = record.keys() - self._declared
        if new:
            self._meet([name for name in record if name in new], number)
        values = [self._value(name, record.get(name)) for name in self._table.column_names]
        if self._table.new_columns == "add":
            more = {name: _text(record[name]) for name in record if name in new}
            values.append(json.dumps(more, ensure_ascii=False) if more else None)
        return values

    def _value(self, name: str, value: Any) -> str | None:
        if isinstance(value, _Number) and name in self._integers:
            return as_integer(value)
        return _text(value)

    def _meet(self, names: list[str], line: int) -> None:
        refuse_new(self.uri, self._table, names, line)
        if any(name not in self._new for name in names):
            self._new |= dict.fromkeys(names)
            if self._table.new_columns == "add":
                check_added(self.uri, names)
            # Without the check, an object with values for keys would fill the memory.
            check_count(self.uri, len(self._declared) + len(self._new))


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    """JSON again, with the numbers as they were."""
    if isinstance(value, dict):
        items = (f"{_json(name)}: {_json(item)}" for name, item in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_json, value))}]"
    if isinstance(value, _Number):
        return value
    return json.dumps(value, ensure_ascii=False)

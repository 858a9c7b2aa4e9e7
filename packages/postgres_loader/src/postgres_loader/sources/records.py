"""Records that are already in memory, as a source."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from postgres_loader.sources.base import (
    INTEGER_TYPES,
    BadRow,
    Row,
    RowError,
    TextSource,
    as_integer,
    copy_line,
    json_text,
    undeclared,
)
from postgres_loader.tables import Table
from postgres_loader.times import TextTimes

_RECORDS_PER_CHUNK = 1000


class RecordSource(TextSource):
    """Records in memory; where a file would count lines, records are counted.

    Raises BadInput when the table refuses a record's field.
    """

    def __init__(self, uri: str, records: Sequence[Mapping[str, Any]], table: Table) -> None:
        super().__init__(uri)
        self._records = records
        self._bytes_read = 0
        found = sorted({name for record in records for name in record})
        self.undeclared, self.extra = undeclared(uri, table, found)
        self.columns = (*table.column_names, *self.extra)
        self._integers = frozenset(table.columns_of(INTEGER_TYPES))
        self._times = TextTimes(self.columns, table)

    @property
    def bytes_read(self) -> int:
        return self._bytes_read

    def chunks(self) -> Iterator[bytes]:
        for start in range(0, len(self._records), _RECORDS_PER_CHUNK):
            part = self._records[start : start + _RECORDS_PER_CHUNK]
            chunk = b"".join(
                self._copy_line(number, self._values(record))
                for number, record in enumerate(part, start=start + 1)
            )
            self._bytes_read += len(chunk)
            yield chunk

    def rows(self) -> Iterator[Row | BadRow]:
        for number, record in enumerate(self._records, start=1):
            yield Row(number, self._values(record))

    def _values(self, record: Mapping[str, Any]) -> list[str | None]:
        return [self._value(name, record.get(name)) for name in self.columns]

    def _value(self, name: str, value: Any) -> str | None:
        if isinstance(value, float) and name in self._integers:
            return as_integer(json.dumps(value))
        return json_text(value)

    def _copy_line(self, number: int, values: Sequence[str | None]) -> bytes:
        if wrong := self._times.first_wrong(values):
            raise RowError(self.uri, wrong, record=number)
        return copy_line(values)

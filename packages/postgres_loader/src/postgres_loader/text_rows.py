"""A source's rows as texts, with their places, for PostgreSQL to judge."""

from collections.abc import Iterator

from postgres_loader.sources import CopySource
from postgres_loader.sources.base import MORE, BadRow, Row, TextSource, copy_line, in_chunks
from postgres_loader.tables import Table

TEXT_LIMIT = 1000
LINE, REASON, RECORD = "__line", "__reason", "__record"


class TextRows(TextSource):
    """A source's rows with their places, as texts, or with what is wrong with their form."""

    def __init__(self, source: CopySource, table: Table) -> None:
        super().__init__(source.uri)
        self._source = source
        wanted = {*table.column_names, *source.extra, MORE}
        self._taken = [n for n, name in enumerate(source.columns) if name in wanted]
        self.columns = (LINE, REASON, RECORD, *(source.columns[n] for n in self._taken))

    @property
    def bytes_read(self) -> int:
        return self._source.bytes_read

    def chunks(self) -> Iterator[bytes]:
        return in_chunks(self._line(row) for row in self._source.rows())

    def rows(self) -> Iterator[Row | BadRow]:
        return self._source.rows()

    def _line(self, row: Row | BadRow) -> bytes:
        if isinstance(row, Row):
            values = [row.values[n] for n in self._taken]
            try:
                line = copy_line([str(row.line), None, None, *values], errors="strict")
            except UnicodeEncodeError as error:
                row = BadRow(row.line, f"this is not Unicode text: {error.reason}", str(values))
            else:
                if b"\0" not in line:
                    return line
                reason = 'invalid byte sequence for encoding "UTF8": 0x00'
                row = BadRow(row.line, reason, str(values))
        # What cannot be stored is shown as an escape.
        text = row.text[:TEXT_LIMIT].replace("\0", r"\x00").encode(errors="backslashreplace")
        nulls = [None] * len(self._taken)
        return copy_line([str(row.line), row.reason, text.decode(), *nulls])

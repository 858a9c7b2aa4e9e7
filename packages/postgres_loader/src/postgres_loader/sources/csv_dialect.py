"""How a table's CSV files are written: what separates and quotes, what is null, what a comma is.

COPY reads most of it by itself. Several words for null, and decimal commas, are put into what COPY
reads, field by field; the careful look at each row goes by the same rules.
"""

import re
from collections.abc import Sequence
from typing import AnyStr

from postgres_loader.tables import Table

# Both signs change places, so that a point, which means nothing there, is refused as a comma is.
_SWAP = bytes.maketrans(b",.", b".,")


class Dialect:
    """What the table declares, for files with these columns.

    A field is null if it is one of the words that mean so, and not quoted; in a nullable column
    that is not text, also if it is quoted: exports that quote everything have it so.

    Attributes:
        quote: what opens and closes a quotation.
        rewrites: whether COPY reads what `rewritten()` makes of the records.
        decimal_commas: names of the columns whose numbers have a comma.
    """

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        self._delimiter = table.delimiter
        self._separator = table.delimiter.encode()
        self._words = frozenset(table.null_words)
        self._null_words = frozenset(word.encode() for word in table.null_words)
        self._null = table.null_words[0].encode()
        self.quote = table.quote.encode()
        self._quoted = re.compile("{0}((?:[^{0}]|{0}{0})*){0}".format(re.escape(table.quote)))
        nulled = {c.name for c in table.columns if c.nullable and c.type != "text"}
        self._nulled = [number for number, name in enumerate(columns) if name in nulled]
        self._forced = [columns[number] for number in self._nulled]
        commas = table.decimal_columns if table.decimal_sign == "," else ()
        self.decimal_commas = tuple(name for name in columns if name in commas)
        self._commas = [number for number, name in enumerate(columns) if name in commas]
        self._count = len(columns)
        self.rewrites = len(self._words) > 1 or bool(self._commas)

    @property
    def copy_options(self) -> str:
        """COPY's options for the files, or for what `rewritten()` makes of them."""
        names = ", ".join('"{}"'.format(name.replace('"', '""')) for name in self._forced)
        force = f", FORCE_NULL ({names})" if names else ""
        null = self._null.decode().replace("\\", r"\\").replace("'", r"\'")
        return (
            f"FORMAT csv, DELIMITER E'\\x{ord(self._delimiter):02x}', "
            f"QUOTE E'\\x{ord(self.quote):02x}', NULL E'{null}'{force}"
        )

    def rewritten(self, record: bytes) -> bytes:
        """A record with one word for null and decimal points; as it is if its form is wrong.

        Nothing for a blank line, which COPY would refuse.
        """
        content = record.removesuffix(b"\n").removesuffix(b"\r")
        fields = _split(content, self._separator, self.quote)
        if len(fields) != self._count:
            return b"" if self.is_blank(content) else record
        null = self._null
        if len(self._null_words) > 1:
            fields = [null if field in self._null_words else field for field in fields]
        if self.quote in content:
            for number in self._nulled:
                if self.quote in fields[number] and self._text(fields[number]) in self._words:
                    fields[number] = null
        for number in self._commas:
            # With a backslash it is not a number, and may become what ends a COPY.
            if fields[number] != null and b"\\" not in fields[number]:
                fields[number] = fields[number].translate(_SWAP)
        return self._separator.join(fields) + record[len(content) :]

    def fields(self, content: str) -> list[str | None]:
        """The values of a record, of which the numbers are as they are written."""
        quote = self.quote.decode()
        values = [
            self._unquoted(field) if quote in field else self._plain(field)
            for field in _split(content, self._delimiter, quote)
        ]
        if len(values) == self._count:
            for number in self._nulled:
                values[number] = self._plain(values[number])
        return values

    def is_blank(self, content: bytes) -> bool:
        """Whether a line has nothing but blanks, so no row."""
        return self._count > 1 and not content.strip(b" \t".replace(self._separator, b""))

    def _plain(self, value: str | None) -> str | None:
        return None if value in self._words else value

    def _text(self, field: bytes) -> str:
        return self._unquoted(field.decode(errors="replace"))

    def _unquoted(self, field: str) -> str:
        quote = self.quote.decode()
        return self._quoted.sub(lambda quoted: quoted[1].replace(quote * 2, quote), field)


def _split(content: AnyStr, delimiter: AnyStr, quote: AnyStr) -> list[AnyStr]:
    """The fields as they are written: every quote, wherever it is, opens or closes."""
    fields = content.split(delimiter)
    if quote not in content:
        return fields
    found: list[AnyStr] = []
    parts: list[AnyStr] = []
    quoted = False
    for part in fields:
        parts.append(part)
        quoted ^= part.count(quote) % 2 == 1
        if not quoted:
            found.append(delimiter.join(parts))
            parts = []
    return found

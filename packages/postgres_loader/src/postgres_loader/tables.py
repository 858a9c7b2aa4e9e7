"""The raw tables, declared once: the DDL, the checks of a load and the UI's docs follow."""

import codecs
from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

DECIMAL_TYPES = ("numeric", "real", "double precision")
# The column that a table with `marks_missing` has beside those that are declared.
MISSING_SINCE = "missing_since"


@dataclass(frozen=True)
class Column:
    """A column: `type` is a PostgreSQL type, spelled as `format_type()` spells it."""

    name: str
    type: str
    description: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A table of the raw schema.

    `may_be_empty` says whether a source without a single row is to be believed. By default it is
    not: an export that lost its rows is far more likely than a business that lost its customers.
    `days_may_be_empty` says the same of a file of one day.

    `day_column` is the date or timestamp by which loads of a window and partitions go, in UTC;
    `first_day` is the first that has a partition.
    With `marks_missing`, the table also has `missing_since`, a nullable timestamp. A load fails
    when more than `max_rejected_share` (0 to 1) of a source's rows are bad, or when it would delete
    more than `max_deleted_share` (0 to 1) of the table's, and 100 rows at least. Columns that a
    source has and the table has not are refused, reported, or added as nullable text. `encoding` is
    one of Python's, for sources without byte order mark that are not UTF-8. Dates and times are ISO
    8601; `date_format` says what comes first where files have them otherwise (DMY: 31.12.2026, MDY:
    12/31/2026).

    Of CSV files, `delimiter` separates the fields, `quote` opens and closes a quotation,
    `null_words` are all fields that are null ("" is the empty one), and `decimal_sign` is what
    numbers with fractions have in front of these.

    Raises ValueError for a declaration that contradicts itself.
    """

    name: str
    description: str
    primary_key: tuple[str, ...]
    columns: tuple[Column, ...]
    may_be_empty: bool = False
    days_may_be_empty: bool = False
    day_column: str | None = None
    first_day: date | None = None
    marks_missing: bool = False
    max_rejected_share: float = 0.01
    max_deleted_share: float = 0.5
    new_columns: Literal["refuse", "report", "add"] = "report"
    encoding: str | None = None
    delimiter: str = ","
    quote: str = '"'
    null_words: tuple[str, ...] = ("",)
    decimal_sign: Literal[".", ","] = "."
    date_format: Literal["ISO", "DMY", "MDY"] = "ISO"

    def __post_init__(self) -> None:
        named = (*self.primary_key, *([self.day_column] if self.day_column else []))
        nullable = [c.name for c in self.columns if c.nullable and c.name in self.primary_key]
        if nullable:
            raise ValueError(f"table {self.name}: {nullable[0]!r} is in the key, so not nullable")
        unknown = [name for name in named if name not in self.column_names]
        if unknown:
            raise ValueError(f"table {self.name} does not declare its column {unknown[0]!r}")
        if self.marks_missing and MISSING_SINCE in self.column_names:
            raise ValueError(f"table {self.name}: {MISSING_SINCE!r} is for the load to set")
        if self.days_may_be_empty and not self.day_column:
            raise ValueError(f"table {self.name} has no day_column, so no day that may be empty")
        for problem in form_problems(self):
            raise ValueError(f"table {self.name}: {problem}")
        for share in ("max_rejected_share", "max_deleted_share"):
            if not 0 <= getattr(self, share) <= 1:
                raise ValueError(f"table {self.name}: {share} is not a share, 0 to 1")

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, in the table's order."""
        return tuple(column.name for column in self.columns)

    @property
    def decimal_columns(self) -> tuple[str, ...]:
        """Names of the columns whose numbers may have fractions."""
        kinds = {column.type: column.type.partition("(")[0] for column in self.columns}
        return self.columns_of({type_ for type_, kind in kinds.items() if kind in DECIMAL_TYPES})

    def columns_of(self, types: Container[str]) -> tuple[str, ...]:
        """Names of the columns that have one of the types, in the table's order."""
        return tuple(column.name for column in self.columns if column.type in types)


def form_problems(table: Table) -> Iterator[str]:
    """What is wrong with how a table's files are declared to be written."""
    delimiter, quote = table.delimiter, table.quote
    if not _is_sign(delimiter) or delimiter in '"\\':
        yield (
            f"delimiter is {delimiter!r}: not one ASCII character other than a quote, a backslash "
            "or an end of line. Fix: declare one such as ';' or '\\t'"
        )
    if not _is_sign(quote) or quote.isalnum() or quote in " \t\\.," or quote == delimiter:
        yield (
            f"quote is {quote!r}: not one ASCII sign other than a letter, digit, blank, comma, "
            "point, backslash or the delimiter. Fix: declare '\"' or \"'\""
        )
    yield from _null_problems(table)
    if table.decimal_sign not in (".", ","):
        yield f"decimal_sign is {table.decimal_sign!r}: neither point nor comma. Fix: declare one"
    if table.decimal_sign == "," and delimiter == ".":
        yield (
            "decimal_sign is ',' and delimiter is '.': numbers cannot be told. "
            "Fix: declare another delimiter"
        )
    if table.encoding is not None and not _is_encoding(table.encoding):
        yield (
            f"encoding is {table.encoding!r}: not a text encoding of Python's. "
            "Fix: declare one such as 'cp1252', 'latin-1' or 'utf-16-le'"
        )
    if table.date_format not in ("ISO", "DMY", "MDY"):
        yield f"date_format is {table.date_format!r}: none of ISO, DMY, MDY. Fix: declare one"


def _null_problems(table: Table) -> Iterator[str]:
    words = table.null_words
    if isinstance(words, str) or not all(isinstance(word, str) for word in words):
        yield f'null_words is {words!r}: not several texts. Fix: declare a tuple, such as ("NULL",)'
        return
    if not words:
        yield 'null_words is empty: no field would be null. Fix: declare ("",) for the empty field'
    for word in words:
        if word == "\\." or not word.isprintable() or {table.delimiter, table.quote} & {*word}:
            yield (
                f"null_words has {word!r}: no field can be that, as it has the delimiter, the "
                "quote or a sign that is not printed, or is \\.. Fix: leave it out"
            )


def _is_sign(text: str) -> bool:
    return len(text) == 1 and text.isascii() and text not in "\0\r\n"


def _is_encoding(name: str) -> bool:
    try:
        codecs.getincrementaldecoder(name)
        return "".encode(name) is not None
    except (LookupError, ValueError):
        return False

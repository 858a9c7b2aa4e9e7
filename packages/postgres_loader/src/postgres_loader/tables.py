"""The raw tables, declared once: the DDL, the checks of a load and the UI's docs follow."""

from collections.abc import Container
from dataclasses import dataclass
from datetime import date
from typing import Literal

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
    one of Python's, for sources without byte order mark that are not UTF-8. `delimiter` separates
    the fields of its CSV files. Dates and times are ISO 8601; `date_format` says what comes first
    where files have them otherwise (DMY: 31.12.2026, MDY: 12/31/2026).

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
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n\\' or not self.delimiter.isascii():
            raise ValueError(
                f"table {self.name}: delimiter {self.delimiter!r} is not one ASCII character that"
                " is no quote, backslash or end of line"
            )
        if self.date_format not in ("ISO", "DMY", "MDY"):
            raise ValueError(
                f"table {self.name}: date_format {self.date_format!r} is none of ISO, DMY, MDY"
            )
        for share in ("max_rejected_share", "max_deleted_share"):
            if not 0 <= getattr(self, share) <= 1:
                raise ValueError(f"table {self.name}: {share} is not a share, 0 to 1")

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, in the table's order."""
        return tuple(column.name for column in self.columns)

    def columns_of(self, types: Container[str]) -> tuple[str, ...]:
        """Names of the columns that have one of the types, in the table's order."""
        return tuple(column.name for column in self.columns if column.type in types)

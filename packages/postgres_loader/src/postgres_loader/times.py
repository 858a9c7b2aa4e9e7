"""Which texts are dates and times: ISO 8601, or what the table declares. Nothing is guessed.

PostgreSQL alone would take `03/04/2026` by a setting of the server, `now` and `infinity` for
times, and `IST` for Israel's.
"""

import re
from collections.abc import Sequence

from psycopg2 import sql

from postgres_loader.tables import Table

TYPES = frozenset(("date", "timestamp with time zone", "timestamp without time zone"))
# What Python, and so every reader of the warehouse that is written in it, can hold.
FIRST, END = "0001-01-01 00:00:00+00", "10000-01-01 00:00:00+00"

_DATES = {
    "ISO": "(?:[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}|[0-9]{8})",
    "DMY": "[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{4}",
    "MDY": "[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{4}",
}
_CLOCK = (
    "(?:[T ][0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.][0-9]+)?)?"
    " ?(?:Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2})?)?)?)?"
)
_EXAMPLES = {"ISO": "2026-01-31", "DMY": "31.01.2026", "MDY": "01/31/2026"}
# What PostgreSQL's DateStyle calls the same.
_ORDERS = {"ISO": "YMD", "DMY": "DMY", "MDY": "MDY"}


def pattern(table: Table) -> str:
    """The regular expression, for Python, PostgreSQL and Arrow, of a date or time of the table.

    ISO 8601 is always read: a year of four digits in front is nobody's day.
    """
    dates = "|".join(dict.fromkeys((_DATES["ISO"], _DATES[table.date_format])))
    return f"(?:{dates}){_CLOCK}"


def whole(table: Table) -> str:
    """The same for a text from end to end, which may have blanks around it."""
    return rf"^\s*(?:{pattern(table)})\s*$"


def beyond(value: sql.Composable) -> sql.Composed:
    """The condition that a value is infinite, or of a year before 1 or after 9999."""
    condition = sql.SQL("({0} < {1} OR {0} >= {2})")
    return condition.format(value, sql.Literal(FIRST), sql.Literal(END))


def columns(table: Table) -> tuple[str, ...]:
    """Names of the table's columns that hold dates or times."""
    return table.columns_of(TYPES)


def reason(table: Table) -> str:
    """What to say of a text that is none."""
    example = _EXAMPLES[table.date_format]
    said = f"this is not a date or time that can be read, such as {example} or {example} 09:30:00Z"
    if table.date_format != "ISO":
        return f"{said} (the table declares date_format={table.date_format!r})"
    return f"{said}; if the files have day or month first, declare the table's date_format"


def date_style(table: Table) -> str:
    """The session's DateStyle: no setting of server, role or database decides what is read."""
    return f"ISO, {_ORDERS[table.date_format]}"


def csv_rows(header: Sequence[str], table: Table) -> re.Pattern[bytes] | None:
    """What matches as many whole rows of CSV as have only dates and times that can be read; None
    if the table has none. Fields may be null, and empty lines are left out."""
    timed = set(columns(table))
    if not timed & set(header):
        return None
    delimiter = re.escape(table.delimiter)
    time = pattern(table)
    quote = re.escape(table.quote)
    null = "|".join(map(re.escape, table.null_words))
    quoted = f"{quote}[^{quote}]*+{quote}"
    field = f"(?:{quoted}(?:{quoted})*+|[^{quote}{delimiter}\\r\\n]*+)"
    time_field = f"(?: *+{time} *+|{quote} *+{time} *+{quote}|{null}|{quote}(?:{null}){quote})"
    row = delimiter.join(time_field if name in timed else field for name in header)
    return re.compile(f"(?:(?:{row})?\\r?\\n)*+".encode())


class TextTimes:
    """Looks at the dates and times of rows of texts."""

    def __init__(self, names: Sequence[str], table: Table) -> None:
        timed = columns(table)
        self._numbers = [number for number, name in enumerate(names) if name in timed]
        self._is_time = re.compile(whole(table)).match
        self._reason = reason(table)

    def first_wrong(self, values: Sequence[str | None]) -> str | None:
        """What is wrong with the first value that cannot be read as a date or time."""
        for number in self._numbers:
            value = values[number]
            if value is not None and not self._is_time(value):
                return self._reason
        return None

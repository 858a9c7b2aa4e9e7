"""Which rows of a table a load is about."""

import datetime
from dataclasses import dataclass

from psycopg2 import sql

from postgres_loader.tables import Table


@dataclass(frozen=True)
class Window:
    """A half-open range of time, from `start` to before `end`. Raises ValueError where that is
    not a range, or without a time zone.

    An `exact` one is all that its sources have; other rows are errors, and not left out.
    """

    start: datetime.datetime
    end: datetime.datetime
    exact: bool = False

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError(f"a window needs times with a time zone, not {self.start}, {self.end}")
        if self.start >= self.end:
            raise ValueError(f"a window has to end after its start, {self.start}, not {self.end}")


@dataclass(frozen=True)
class AllBut:
    """All rows, or those `within` a window, but for those of the given UTC days.

    Rows without a day are among them. A row of the table that is of one of the days is not changed,
    whatever day its key has in the source.
    """

    days: tuple[datetime.date, ...]
    within: Window | None = None


# None is all rows.
Range = Window | AllBut | None


def within(row: str, table: Table, window: Range) -> sql.Composable:
    """The condition that the row of that alias is in the range."""
    if window is None:
        return sql.SQL("true")
    day = sql.Identifier(row, table.day_column or "")
    if isinstance(window, AllBut):
        others = sql.SQL("(({day} IS NULL OR {day}::date <> ALL ({days}::date[])) AND {within})")
        return others.format(
            day=day, days=sql.Literal(list(window.days)), within=within(row, table, window.within)
        )
    return sql.SQL("({day} >= {start} AND {day} < {end})").format(
        day=day, start=sql.Literal(window.start), end=sql.Literal(window.end)
    )

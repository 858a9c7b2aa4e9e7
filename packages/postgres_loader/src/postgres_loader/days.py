"""What a load from the landing zone replaces of a table with days.

A day that was loaded from files of its own keeps their rows, also after they have been moved away:
`<table>_days` remembers them. Other files of the day then add and change rows, and delete none. The
file of the whole table takes such a day over when it was written later and has rows of the day, and
else leaves it alone. All this is decided within the load's transaction, while it holds the table's
lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple, Protocol

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from postgres_loader.ddl import exists
from postgres_loader.landing_files import midnight
from postgres_loader.ranges import AllBut, Range, Window
from postgres_loader.staging import related
from postgres_loader.tables import Table


class Scope(Protocol):
    """What a load replaces, decided by the load's cursor in two steps.

    After the first, `keeps_missing` says that it deletes no row, whatever else was asked for.
    """

    keeps_missing: bool

    def begin(self, cursor: Cursor, target: sql.Identifier) -> Range:
        """Before the source is opened."""

    def settle(self, cursor: Cursor, target: sql.Identifier) -> Range:
        """When its rows are staged: the last word. Rows that go directly into a table that has
        none need no such word."""


@dataclass
class OwnDay:
    """A day, from files of its own; `written` is when the newest of all files of the table was.

    The files may hold no other day. `gone` are files that the day was loaded from before, and that
    are not there any more; with `takes_all`, their rows go.
    """

    day: date
    files: Sequence[str]
    written: datetime
    takes_all: bool = False
    gone: list[str] = field(default_factory=list)
    keeps_missing: bool = False

    def begin(self, cursor: Cursor, target: sql.Identifier) -> Range:
        for before in _remembered(cursor, target, only=self.day).values():
            if not self.takes_all:
                self.gone = [name for name in before.files if name not in self.files]
        self.keeps_missing = bool(self.gone)
        return _window(self.day, exact=True)

    def settle(self, cursor: Cursor, target: sql.Identifier) -> Range:
        _remember(cursor, target, self.day, [*self.files, *self.gone], self.written)
        return _window(self.day, exact=True)


@dataclass
class WholeTable:
    """The whole table, or the one `day` of it, from the file of the whole table.

    `own` are the days that have files of their own now. With `takes_all`, it takes over all other
    days. After the load, `left` are the remembered days that stayed as they were although it has
    something else to say about them, or was loaded for the day.
    """

    table: Table
    written: datetime
    day: date | None = None
    own: Sequence[date] = ()
    takes_all: bool = False
    left: list[date] = field(default_factory=list)
    keeps_missing: bool = False
    _older: list[date] = field(default_factory=list)
    _newer: list[date] = field(default_factory=list)

    def begin(self, cursor: Cursor, target: sql.Identifier) -> Range:
        found = _remembered(cursor, target, only=self.day)
        found = {day: before for day, before in found.items() if day not in self.own}
        if self.takes_all:
            _forget(cursor, target, list(found))
            found = {}
        self._older = [day for day in found if found[day].written >= self.written]
        self._newer = [day for day in found if day not in self._older]
        return self._all_but([*self.own, *found])

    def settle(self, cursor: Cursor, target: sql.Identifier) -> Range:
        present = _staged_days(cursor, target, self.table, [*self._older, *self._newer])
        _forget(cursor, target, [day for day in self._newer if day in present])
        kept = [day for day in self._newer if day not in present]
        self.left = sorted([*kept, *(day for day in self._older if self.day or day in present)])
        return self._all_but([*self.own, *self._older, *kept])

    def _all_but(self, days: Sequence[date]) -> Range:
        window = _window(self.day) if self.day else None
        return AllBut(tuple(days), window) if days else window


def _window(day: date, *, exact: bool = False) -> Window:
    return Window(midnight(day), midnight(day + timedelta(days=1)), exact=exact)


class _Remembered(NamedTuple):
    """Files of a day, and the time after which a file of the whole table is a later one."""

    files: Sequence[str]
    written: datetime


def _remember(
    cursor: Cursor, target: sql.Identifier, day: date, files: Sequence[str], written: datetime
) -> None:
    relation = _relation(target)
    if not exists(cursor, relation):
        for ddl in (
            "CREATE TABLE {} (day date PRIMARY KEY, files text[] NOT NULL, "
            "written timestamptz NOT NULL, loaded_at timestamptz NOT NULL)",
            "COMMENT ON TABLE {} IS 'Days that were loaded from files of their own. Written by the "
            "loader, which keeps the rows of such files when they have been moved away.'",
        ):
            cursor.execute(sql.SQL(ddl).format(relation))
    statement = sql.SQL(
        "INSERT INTO {} VALUES (%s, %s, %s, now()) ON CONFLICT (day) DO UPDATE SET "
        "files = excluded.files, written = excluded.written, loaded_at = excluded.loaded_at"
    )
    cursor.execute(statement.format(relation), (day, list(files), written))


def _remembered(
    cursor: Cursor, target: sql.Identifier, *, only: date | None
) -> dict[date, _Remembered]:
    """What is remembered of all days, or of one."""
    relation = _relation(target)
    if not exists(cursor, relation):
        return {}
    if not exists(cursor, target):
        # Somebody dropped the table: there is nothing left to be kept.
        cursor.execute(sql.SQL("DELETE FROM {}").format(relation))
    statement = sql.SQL("SELECT day, files, written FROM {} WHERE day = coalesce(%s, day)")
    cursor.execute(statement.format(relation), (only,))
    return {day: _Remembered(files, written) for day, files, written in cursor.fetchall()}


def _forget(cursor: Cursor, target: sql.Identifier, days: Sequence[date]) -> None:
    if days:
        statement = sql.SQL("DELETE FROM {} WHERE day = ANY (%s)").format(_relation(target))
        cursor.execute(statement, (list(days),))


def _staged_days(
    cursor: Cursor, target: sql.Identifier, table: Table, days: Sequence[date]
) -> set[date]:
    """Those of the days that a staged row is of."""
    if not days:
        return set()
    day = sql.Identifier(table.day_column or "")
    statement = sql.SQL("SELECT DISTINCT {day}::date FROM {staging} WHERE {day}::date = ANY (%s)")
    cursor.execute(statement.format(day=day, staging=related(target, "staging")), (list(days),))
    return {found for (found,) in cursor.fetchall()}


def _relation(target: sql.Identifier) -> sql.Identifier:
    schema, name = target.strings
    return sql.Identifier(schema, f"{name}_days")

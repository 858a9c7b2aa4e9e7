"""Merges staged rows into a table that others read meanwhile."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from postgres_loader.ddl import names
from postgres_loader.errors import BadInput, MassDeletion
from postgres_loader.ranges import AllBut, Range, Window, within
from postgres_loader.tables import MISSING_SINCE, Table

Missing = Literal["keep", "delete", "mark"]


@dataclass(frozen=True)
class Merged:
    """Counts of rows; `days` has the number of rows there are now, of each day that changed."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    marked: int = 0
    outside: int = 0
    days: dict[datetime.date, int] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        return bool(self.inserted or self.updated or self.deleted or self.marked)


class Merge:
    """A merge by primary key of `staging` into `target`, both with the given columns.

    Keys in the table `spared`, where there is one, do not count as missing.

    `run()` raises MassDeletion where it would delete more than `max_deleted_share` of the rows.
    """

    def __init__(
        self,
        cursor: Cursor,
        table: Table,
        target: sql.Identifier,
        staging: sql.Identifier,
        columns: Sequence[str],
        window: Range = None,
        spared: sql.Identifier | None = None,
        max_deleted_share: float = 1,
    ) -> None:
        self._cursor = cursor
        self._name = ".".join(target.strings)
        self._max_deleted_share = max_deleted_share
        self._table = table
        self._window = window
        assignments = [
            sql.SQL("{0} = incoming.{0}").format(sql.Identifier(name))
            for name in columns
            if name not in table.primary_key
        ]
        if table.marks_missing:
            assignments.append(sql.SQL("{} = NULL").format(sql.Identifier(MISSING_SINCE)))
        self._updates = bool(assignments)
        same_key = sql.SQL(" AND ").join(
            sql.SQL("present.{0} = incoming.{0}").format(sql.Identifier(name))
            for name in table.primary_key
        )
        self._parts: dict[str, sql.Composable] = {
            "target": target,
            "staging": staging,
            "columns": names(columns),
            "incoming": names(columns, "incoming"),
            "differs": _differs(table, columns),
            "assignments": sql.SQL(", ").join(assignments),
            "same_key": same_key,
            "present_within": within("present", table, window),
            "incoming_within": within("incoming", table, window),
            # A window takes a key from other days. AllBut leaves other days as they are.
            "movable": within("present", table, window if isinstance(window, AllBut) else None),
            "day": sql.Identifier(table.day_column or ""),
            "mark": sql.Identifier(MISSING_SINCE),
            "marked": sql.SQL(
                f"present.{MISSING_SINCE} IS NOT NULL" if table.marks_missing else "false"
            ),
            "spared": sql.SQL("AND NOT EXISTS (SELECT FROM {} AS incoming WHERE {})").format(
                spared, same_key
            )
            if spared
            else sql.SQL(""),
        }

    def run(self, missing: Missing, staged: int) -> Merged:
        """Insert, update, and do with the missing rows as told; there are `staged` rows."""
        # Others may read but not write until the end of the transaction: what is decided here
        # row by row would otherwise not hold against a row that somebody else just put there.
        self._execute("LOCK TABLE {target} IN SHARE ROW EXCLUSIVE MODE")
        days = self._left_days()
        updated = self._update(days) if self._updates else 0
        # Where every row was there and differs, none is new: that is not worth another join.
        inserted = 0 if updated == staged else self._write(_INSERT, days)
        if missing != "keep" and not self._window and self.rows() == staged:
            missing = "keep"  # all staged rows are there now, so no others are
        deleted = self._write(_DELETE, days) if missing == "delete" else 0
        if deleted >= GUARDED_FROM_ROWS:
            left = self._number("SELECT count(*) FROM {target} AS present WHERE {present_within}")
            self.refuse_mass_deletion(deleted, left - inserted + deleted)
        marked = self._write(_MARK, days) if missing == "mark" else 0
        outside = self._number(_OUTSIDE) if self._window else 0
        return Merged(inserted, updated, deleted, marked, outside, self._count(days))

    def refuse_mass_deletion(self, deleted: int, before: int) -> None:
        """Raises MassDeletion when that many of the rows there were `before` are too many."""
        if deleted >= GUARDED_FROM_ROWS and deleted > self._max_deleted_share * before:
            raise MassDeletion(
                self._name,
                f"{deleted} of its {before} rows are not in the source and would be deleted, more "
                f"than the share of {self._max_deleted_share:.0%} that one load may delete; "
                "nothing was changed",
            )

    def first(self, rows: int) -> Merged:
        """What it amounts to that `rows` are in a table that was empty."""
        if not self._table.day_column:
            return Merged(inserted=rows)
        self._execute(
            "SELECT {day}::date, count(*) FROM {target} WHERE {day} IS NOT NULL GROUP BY 1"
        )
        return Merged(inserted=rows, days=dict(sorted(self._cursor.fetchall())))

    def _update(self, days: set[datetime.date]) -> int:
        # A hash join takes the rows as the file has them; any other takes them by key, which the
        # index and mostly the table are ordered by. Of a million rows that are all different:
        # 6 s instead of 8 s; where the file is in no order, 8 s instead of 15 s.
        self._execute("SET LOCAL enable_hashjoin = off")
        updated = self._write(_UPDATE, days)
        self._execute("SET LOCAL enable_hashjoin = on")
        return updated

    def rows(self) -> int:
        """How many rows the table has."""
        return self._number("SELECT count(*) FROM {target}")

    def _left_days(self) -> set[datetime.date]:
        """Days that rows are about to leave: the UPDATE itself knows only where they go."""
        if not self._table.day_column:
            return set()
        self._execute(
            """
            SELECT DISTINCT present.{day}::date
            FROM {target} AS present JOIN {staging} AS incoming ON {same_key}
            WHERE {incoming_within} AND {movable} AND present.{day} IS DISTINCT FROM incoming.{day}
            """
        )
        return {day for (day,) in self._cursor.fetchall()}

    def _write(self, statement: str, days: set[datetime.date]) -> int:
        """Run a statement; returns how many rows it wrote, and notes their days."""
        if not self._table.day_column:
            self._execute(statement)
            return int(self._cursor.rowcount)
        self._execute(
            f"WITH written AS ({statement} RETURNING present.{{day}}::date AS day) "
            "SELECT day, count(*) FROM written GROUP BY day"
        )
        found = self._cursor.fetchall()
        days.update(day for day, _ in found)
        return sum(count for _, count in found)

    def _count(self, days: set[datetime.date]) -> dict[datetime.date, int]:
        days = {day for day in days if day is not None}
        if not days:
            return {}
        self._execute("SELECT {day}::date, count(*) FROM {target} GROUP BY 1")
        counts = dict(self._cursor.fetchall())
        return {day: counts.get(day, 0) for day in sorted(days)}

    def _number(self, statement: str) -> int:
        self._execute(statement)
        return int((self._cursor.fetchone() or (0,))[0])

    def _execute(self, statement: str) -> None:
        self._cursor.execute(sql.SQL(statement).format(**self._parts))


def refuse_outside(
    cursor: Cursor, staging: sql.Identifier, table: Table, window: Window, uri: str
) -> None:
    """Raises BadInput, with one of them, when staged rows are outside the window."""
    statement = sql.SQL(
        "SELECT {day}::text, ROW ({key})::text, count(*) OVER () FROM {staging} AS incoming "
        "WHERE ({within}) IS NOT TRUE ORDER BY {key} LIMIT 1"
    ).format(
        day=sql.Identifier(table.day_column or ""),
        key=names(table.primary_key),
        staging=staging,
        within=within("incoming", table, window),
    )
    cursor.execute(statement)
    found = cursor.fetchone()
    if found:
        value, key, count = found
        raise BadInput(
            uri,
            f"{count} of its rows are not of {window.start} to before {window.end}, which its "
            f"name says; one is {', '.join(table.primary_key)} {key.strip('()')}, "
            f"{table.day_column} {value}",
            column=table.day_column,
            value=value,
        )


# Types of which equal values are the same value.
_EXACT_TYPES = frozenset(
    (
        *("bigint", "integer", "smallint", "text", "boolean", "uuid", "bytea"),
        *("date", "timestamp with time zone", "timestamp without time zone"),
    )
)
# Of fewer rows, half may well go in a day.
GUARDED_FROM_ROWS = 100
_OUTSIDE = """
    SELECT count(*) FROM {staging} AS incoming WHERE {incoming_within} IS NOT TRUE
        OR EXISTS (SELECT FROM {target} AS present WHERE {same_key} AND NOT {movable})
"""
# Two statements, and a third one for missing rows: one MERGE takes as much CPU time where nothing
# is different or half of the rows are new, and mostly more where all rows differ. Before
# PostgreSQL 18 its RETURNING has no old values, so that it does not tell which days rows left.
_UPDATE = """
    UPDATE {target} AS present SET {assignments} FROM {staging} AS incoming
    WHERE {same_key} AND {incoming_within} AND {movable} AND ({differs} OR {marked})
"""
_INSERT = """
    INSERT INTO {target} AS present ({columns}) SELECT {incoming} FROM {staging} AS incoming
    WHERE {incoming_within}
        AND NOT EXISTS (SELECT FROM {target} AS present WHERE {same_key})
"""
_MISSED = """
    {present_within} AND NOT EXISTS (
        SELECT FROM {staging} AS incoming WHERE {same_key} AND {incoming_within}
    ) {spared}
"""
_DELETE = "DELETE FROM {target} AS present WHERE " + _MISSED
_MARK = "UPDATE {target} AS present SET {mark} = now() WHERE {mark} IS NULL AND " + _MISSED


def _differs(table: Table, columns: Sequence[str]) -> sql.Composable:
    types = {column.name: column.type for column in table.columns}
    others = [name for name in columns if name not in table.primary_key]
    exact = [name for name in others if types.get(name, "text") in _EXACT_TYPES]
    rest = [name for name in others if name not in exact]
    conditions: list[sql.Composable] = [sql.SQL("false")]
    if exact:
        distinct = sql.SQL("ROW ({}) IS DISTINCT FROM ROW ({})")
        conditions.append(distinct.format(names(exact, "present"), names(exact, "incoming")))
    if rest:
        # Slower, but of other types, some have no equality (json), and in some, different values
        # are equal (-0.0 and 0.0, 1.0 and 1.00): their images are compared.
        differs = sql.SQL("ROW ({})::record *<> ROW ({})::record")
        conditions.append(differs.format(names(rest, "present"), names(rest, "incoming")))
    return sql.SQL(" OR ").join(conditions)

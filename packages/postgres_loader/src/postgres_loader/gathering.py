"""Stages several sources as if they were one."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from psycopg2 import errors, sql
from psycopg2.extensions import cursor as Cursor

from postgres_loader.ddl import names
from postgres_loader.errors import BadInput
from postgres_loader.sources import CopySource
from postgres_loader.staging import Staged, related
from postgres_loader.tables import Table
from postgres_loader.text_rows import LINE

OpenSource = Callable[[], AbstractContextManager[CopySource]]
# Where the rows of the sources before the present one wait.
_GATHERED = {"staging": "gathered", "spared": "gathered_spared"}


def gather(
    cursor: Cursor,
    target: sql.Identifier,
    table: Table,
    sources: Sequence[OpenSource],
    stage_one: Callable[[CopySource], Staged],
) -> Staged:
    """Open one source after the other, and stage all of them.

    Raises BadInput when a key is in two of them, ValueError when there are none, and what staging
    one raises.
    """
    gathered: Staged | None = None
    for open_source in sources:
        if gathered:
            _rename(cursor, target, gathered, _GATHERED)
        with open_source() as source:
            one = stage_one(source)
            one = replace(one, bytes_read=source.bytes_read, undeclared=source.undeclared)
        gathered = _add(cursor, target, table, gathered, one, source.uri) if gathered else one
    if gathered is None:
        raise ValueError(f"{table.name} has no source to load from")
    return gathered


def _add(
    cursor: Cursor,
    target: sql.Identifier,
    table: Table,
    before: Staged,
    new: Staged,
    uri: str,
) -> Staged:
    """Add what is staged now to what was put aside, and put both in its place."""
    extra = tuple(dict.fromkeys(before.extra + new.extra))
    # Lines count within a file.
    statement = sql.SQL("ALTER TABLE {} DROP IF EXISTS {}")
    cursor.execute(statement.format(related(target, "gathered"), sql.Identifier(LINE)))
    for name in new.extra:
        statement = sql.SQL("ALTER TABLE {} ADD IF NOT EXISTS {} text")
        cursor.execute(statement.format(related(target, "gathered"), sql.Identifier(name)))
    try:
        _move(cursor, target, "staging", (*table.column_names, *new.extra))
    except errors.UniqueViolation as error:
        key = (error.diag.message_detail or "").partition("=")[2].partition(" already")[0]
        raise BadInput(
            uri,
            f"key {key.strip('()')} is there, and in another file that is loaded with it, too",
            column=", ".join(table.primary_key),
            value=key.strip("()"),
        ) from None
    if before.spared and new.spared:
        _move(cursor, target, "spared", table.primary_key)
    _rename(cursor, target, before, {put: name for name, put in _GATHERED.items()})
    return replace(
        new,
        rows=before.rows + new.rows,
        extra=extra,
        rejected=before.rejected + new.rejected,
        rejected_rows=(*before.rejected_rows, *new.rejected_rows),
        spared=before.spared or new.spared,
        unidentified=before.unidentified + new.unidentified,
        bytes_read=before.bytes_read + new.bytes_read,
        undeclared=tuple(dict.fromkeys(before.undeclared + new.undeclared)),
    )


def _move(cursor: Cursor, target: sql.Identifier, purpose: str, columns: Sequence[str]) -> None:
    new, put = related(target, purpose), related(target, _GATHERED[purpose])
    statement = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}")
    cursor.execute(statement.format(put, names(columns), names(columns), new))
    cursor.execute(sql.SQL("DROP TABLE {}").format(new))


def _rename(
    cursor: Cursor, target: sql.Identifier, staged: Staged, purposes: dict[str, str]
) -> None:
    for old, new in purposes.items():
        if "spared" not in old or staged.spared:
            _, name = related(target, new).strings
            statement = sql.SQL("ALTER TABLE {} RENAME TO {}")
            cursor.execute(statement.format(related(target, old), sql.Identifier(name)))

"""Gets a source's rows into a relation, as fast as PostgreSQL takes them."""

import re

import psycopg2
from psycopg2 import errors, sql
from psycopg2.extensions import cursor as Cursor

from elt.ddl import names
from elt.errors import BadInput
from elt.sources import CopySource

COPY_CHUNK_BYTES = 256 * 1024
# What COPY says about the place of an error: COPY orders, line 7, column quantity: "many"
_COPY_PLACE = re.compile(r'^COPY \S+, line (\d+)(?:, column ([^:]+): "(.*)")?', re.DOTALL)
_KEY_VALUE = re.compile(r"=\((.*)\)", re.DOTALL)


def copy(cursor: Cursor, relation: sql.Identifier, source: CopySource) -> int:
    """COPY a source into a relation; returns the number of rows. Raises BadInput."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN WITH ({}, ENCODING 'UTF8')").format(
        relation, names(source.columns), sql.SQL(source.copy_options)
    )
    try:
        # The stub asks for readline(), which psycopg2 never calls.
        cursor.copy_expert(statement, source, size=COPY_CHUNK_BYTES)  # type: ignore[arg-type]
    except psycopg2.Error as error:
        if source.failure is not None:
            raise source.failure from None
        # Class 22 is bad data, class 23 a broken constraint: the source's fault both.
        if (error.pgcode or "")[:2] in ("22", "23"):
            raise _bad_input(source, error) from None
        raise
    return int(cursor.rowcount)


def _bad_input(source: CopySource, error: psycopg2.Error) -> BadInput:
    place = _COPY_PLACE.match(error.diag.context or "")
    line, column, value = place.groups() if place else (None, None, None)
    said = reason(error)
    if isinstance(error, errors.NotNullViolation):
        column, said = error.diag.column_name, "nothing is there, but the column needs a value"
    if isinstance(error, errors.UniqueViolation):
        detail = error.diag.message_detail or ""
        key = _KEY_VALUE.search(detail)
        column = detail.removeprefix("Key (").partition(")")[0]
        value = key[1] if key else None
        said = f"key {value} is there twice"
    return source.bad_input(said, int(line) if line else None, column, value)


def reason(error: psycopg2.Error) -> str:
    """What PostgreSQL says, with detail and hint."""
    parts = (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)
    return "; ".join(part for part in parts if part) or str(error).strip()

"""COPY of a source's stream, and what went wrong with it."""

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from postgres_loader.ddl import names
from postgres_loader.sources import CopySource
from postgres_loader.sources.base import RowError
from postgres_loader.sources.streams import CHUNK_BYTES


class BadData(Exception):
    """PostgreSQL or the source refused the data; which rows is for `rejects` to find out."""


def copy(cursor: Cursor, relation: sql.Identifier, source: CopySource) -> int:
    """COPY a source into a relation; returns the number of rows.

    Raises BadData as soon as there is a row that cannot be stored, and what the source raises.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN WITH ({}, ENCODING 'UTF8')").format(
        relation, names(source.columns), sql.SQL(source.copy_options)
    )
    try:
        # The stub asks for readline(), which psycopg2 never calls.
        cursor.copy_expert(statement, source, size=CHUNK_BYTES)  # type: ignore[arg-type]
    except psycopg2.Error as error:
        # Of a failure of the source, the driver passes on no more than the words.
        if isinstance(source.failure, RowError):
            raise BadData(str(source.failure)) from None
        raise source.failure or judged(error) from None
    return int(cursor.rowcount)


def judged(error: psycopg2.Error) -> Exception:
    """BadData if the error is the data's fault; else the error itself."""
    # Class 22 is bad data, class 23 a broken constraint: the source's fault both.
    return BadData(reason(error)) if (error.pgcode or "")[:2] in ("22", "23") else error


def reason(error: psycopg2.Error) -> str:
    """What PostgreSQL says, with detail and hint."""
    parts = (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)
    return "; ".join(part for part in parts if part) or str(error).strip()

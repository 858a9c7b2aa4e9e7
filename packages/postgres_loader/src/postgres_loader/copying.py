"""COPY of a source's stream, and what went wrong with it."""

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from postgres_loader.ddl import names
from postgres_loader.sources import CopySource
from postgres_loader.sources.base import RowError, Stream
from postgres_loader.sources.streams import CHUNK_BYTES


class BadData(Exception):
    """PostgreSQL or the source refused the data; which rows is for `rejects` to find out."""


def copy(cursor: Cursor, relation: sql.Identifier, source: CopySource) -> int:
    """COPY a source into a relation; returns the number of rows.

    Raises BadData as soon as there is a row that cannot be stored, and what the source raises.
    """
    try:
        return copy_stream(cursor, relation, source, source, source.copy_options)
    except psycopg2.Error as error:
        raise cause(error, source) from None


def copy_stream(
    cursor: Cursor, relation: sql.Identifier, source: CopySource, stream: Stream, options: str
) -> int:
    """COPY a stream, or a part of one, of a source's columns; returns the number of rows.

    Raises what the driver raises.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN WITH ({}, ENCODING 'UTF8')").format(
        relation, names(source.columns), sql.SQL(options)
    )
    # The stub asks for readline(), which psycopg2 never calls.
    cursor.copy_expert(statement, stream, size=CHUNK_BYTES)  # type: ignore[arg-type]
    return int(cursor.rowcount)


def cause(error: psycopg2.Error, source: CopySource) -> Exception:
    """What to raise for an error of a COPY: the source's own failure, if that is behind it."""
    if isinstance(source.failure, RowError):
        return BadData(str(source.failure))
    return source.failure or judged(error)


def judged(error: psycopg2.Error) -> Exception:
    """BadData if the error is the data's fault; else the error itself."""
    # Class 22 is bad data, class 23 a broken constraint: the source's fault both.
    return BadData(reason(error)) if (error.pgcode or "")[:2] in ("22", "23") else error


def reason(error: psycopg2.Error) -> str:
    """What PostgreSQL says, with detail and hint."""
    parts = (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)
    return "; ".join(part for part in parts if part) or str(error).strip()

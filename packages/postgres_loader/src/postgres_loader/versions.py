"""Which content a table has: an identifier that changes when, and only when, a load changes it.

It is kept as the comment of the primary key: written in the load's own transaction, gone with the
table, in every backup, and out of the way of those who read the table or its description.
"""

from uuid import uuid4

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

_LABEL = "Content version "


def version(cursor: Cursor, target: sql.Identifier, *, changed: bool) -> str:
    """The version of a table's content: a new one if it has `changed`, or has none yet."""
    cursor.execute(
        "SELECT conname, obj_description(oid, 'pg_constraint') FROM pg_constraint "
        "WHERE conrelid = %s::regclass AND contype = 'p'",
        (target.as_string(cursor),),
    )
    name, comment = cursor.fetchone() or ("", None)
    if comment and comment.startswith(_LABEL) and not changed:
        return str(comment.removeprefix(_LABEL))
    new = uuid4().hex
    statement = sql.SQL("COMMENT ON CONSTRAINT {} ON {} IS {}")
    cursor.execute(statement.format(sql.Identifier(name), target, sql.Literal(_LABEL + new)))
    return new

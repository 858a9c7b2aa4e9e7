"""Whether a source that has lost rows is to be believed."""

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from postgres_loader.ddl import exists
from postgres_loader.errors import LoaderError
from postgres_loader.flattening import INTEGERS
from postgres_loader.tables import MISSING_SINCE, Table


def refuse_mass_vanishing(
    connection: Connection,
    schema: str,
    table: Table,
    keys: Iterable[object],
    uri: str,
    max_missing_share: float,
    allowed_by: str,
) -> None:
    """Raise LoaderError when too many of the table's rows are not among the source's `keys`.

    `max_missing_share` (0 to 1) is of the rows that are not marked as missing yet; `allowed_by`
    says how to let it through once. Exactly that share passes. The table's primary key is one
    column. Nothing is written; called while a load holds its lock, it sees what it will mark.
    """
    (key_column,) = table.primary_key
    key_type = next(column.type for column in table.columns if column.name == key_column)
    # Who has no key at all is the load's to reject, and not of another type.
    given = [str(key) for key in keys if key is not None]
    texts = {key: _as_postgres_shows(key, key_type) for key in given}
    unreadable = [key for key, text in texts.items() if text is None]
    target = sql.Identifier(schema, table.name)
    # As JSON, since a table from before there were marks has no such column.
    statement = sql.SQL(
        """
        SELECT count(*), count(*) FILTER (WHERE NOT present.{key}::text = ANY (%s))
        FROM {target} AS present WHERE to_jsonb(present) ->> %s IS NULL
        """
    ).format(target=target, key=sql.Identifier(key_column))
    with connection.cursor() as cursor:
        if not exists(cursor, target):
            return
        cursor.execute(statement, (list(filter(None, texts.values())), MISSING_SINCE))
        known, missing = cursor.fetchone() or (0, 0)
    if missing <= max_missing_share * known:
        return
    if unreadable:
        raise LoaderError(
            f"{uri}: {len(unreadable)} of {len(texts)} values of {key_column} are not {key_type}, "
            f"the first is {unreadable[0][:80]!r}; nothing was changed. Fix: declare "
            f"{key_column} of {table.name} with the type that the source has",
            url=uri,
            column=key_column,
            value=unreadable[0][:80],
        )
    raise LoaderError(
        f"{uri}: {missing} of the {known} {table.name} in {schema}.{table.name} are gone, more "
        f"than the limit of {max_missing_share:.0%}, which looks like a failure of the source; "
        f"nothing was changed. {allowed_by}",
        url=uri,
        known=known,
        missing=missing,
    )


def _as_postgres_shows(key: str, key_type: str) -> str | None:
    """The key as the text that Postgres has for it; None for what is not of an integer type."""
    if key_type not in INTEGERS:
        return key
    try:
        number = Decimal(key)
        is_whole = number.is_finite() and number.adjusted() < 20 and number == int(number)
    except (InvalidOperation, ValueError):
        return None
    return str(int(number)) if is_whole else None

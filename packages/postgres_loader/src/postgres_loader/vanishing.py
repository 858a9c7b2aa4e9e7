"""Whether a source that has lost rows is to be believed."""

from collections.abc import Iterable

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from postgres_loader.ddl import exists
from postgres_loader.errors import LoaderError
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
    says how to let it through once. The table's primary key is one column. Nothing is written;
    called while a load holds its lock, it sees what that load will mark.
    """
    target = sql.Identifier(schema, table.name)
    # As JSON, since a table from before there were marks has no such column.
    statement = sql.SQL(
        """
        SELECT count(*), count(*) FILTER (WHERE NOT present.{key}::text = ANY (%s))
        FROM {target} AS present WHERE to_jsonb(present) ->> %s IS NULL
        """
    ).format(target=target, key=sql.Identifier(*table.primary_key))
    with connection.cursor() as cursor:
        if not exists(cursor, target):
            return
        cursor.execute(statement, ([str(key) for key in keys], MISSING_SINCE))
        known, missing = cursor.fetchone() or (0, 0)
    if missing > max_missing_share * known:
        raise LoaderError(
            f"{uri}: {missing} of the {known} {table.name} in {schema}.{table.name} are gone, more "
            f"than the limit of {max_missing_share:.0%}, which looks like a failure of the source; "
            f"nothing was changed. {allowed_by}",
            url=uri,
            known=known,
            missing=missing,
        )

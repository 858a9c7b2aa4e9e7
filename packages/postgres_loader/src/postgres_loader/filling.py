"""Fills new relations by more than one session.

A COPY is the work of one process of the server, which is busy with it all the time, while its
other cores are not. Of a long stream, a second session takes what the first one has no time for.
What two transactions fill has to be there for both, so the relation is made, and committed, before;
it has a name of its own until all is in it, and is dropped when it does not come to that.
"""

import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extensions import make_dsn

from postgres_loader.copying import BadData, cause, copy_stream
from postgres_loader.ddl import make
from postgres_loader.dealing import Dealer, Reader
from postgres_loader.sources import CopySource
from postgres_loader.sources.base import RowError
from postgres_loader.tables import Column

# Of less, one session has the most done before another one is there.
SHARED_FROM_BYTES = 1024 * 1024
_SHARED_SETTINGS = ("timezone", "datestyle", "search_path", "lock_timeout")


def fill_new(
    cursor: Cursor,
    relation: sql.Identifier,
    columns: Sequence[Column],
    source: CopySource,
    *,
    unlogged: bool,
    shared: sql.Identifier | None,
) -> int:
    """CREATE TABLE `relation` with these columns, and COPY a source into it; returns the rows.

    Where that takes long, two sessions fill a relation of the name `shared`, if there is one,
    which then is renamed. The cursor's transaction decides about all, but for that relation
    itself: see `drop_shared()`. Raises what `postgres_loader.copying.copy()` does.
    """
    dealer = Dealer(source)
    with Reader(dealer) as reader, contextlib.ExitStack() as stack:
        try:
            second = None
            if shared and reader.longer_than(SHARED_FROM_BYTES):
                second = _second(cursor.connection, stack)
            if shared is None or second is None:
                make(cursor, relation, columns, unlogged=unlogged)
                return copy_stream(cursor, relation, source, reader, source.copy_options)
            _make_shared(second, shared, columns, unlogged=unlogged)
            rows = _fill_both(cursor, second, shared, source, dealer, reader)
        except RowError as error:
            raise BadData(str(error)) from None
        except psycopg2.Error as error:
            raise cause(_first(dealer, error), source) from None
    rename = sql.SQL("ALTER TABLE {} RENAME TO {}")
    cursor.execute(rename.format(shared, sql.Identifier(relation.strings[-1])))
    return rows


def drop_shared(cursor: Cursor, shared: sql.Identifier) -> None:
    """Drop what a load left that did not get to its end, if it left anything."""
    cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(shared))


def _fill_both(
    cursor: Cursor,
    second: Connection,
    shared: sql.Identifier,
    source: CopySource,
    dealer: Dealer,
    reader: Reader,
) -> int:
    def help_out() -> int:
        with Reader(dealer) as other, second.cursor() as its:
            return copy_stream(its, shared, source, other, source.rest_options)

    with ThreadPoolExecutor(1, "copy") as pool:
        helped = pool.submit(help_out)
        with reader:
            rows = copy_stream(cursor, shared, source, reader, source.copy_options)
        rows += helped.result()
    second.commit()
    return rows


def _first(dealer: Dealer, error: psycopg2.Error) -> psycopg2.Error:
    """Of two sessions that fail, one does so because the other one has."""
    return dealer.failure if isinstance(dealer.failure, psycopg2.Error) else error


def _second(connection: Connection, stack: contextlib.ExitStack) -> Connection | None:
    """Another session of the same server, or none if it has no place for one."""
    parameters = {**connection.info.dsn_parameters, "password": connection.info.password}
    try:
        second = psycopg2.connect(make_dsn(**parameters))
    except psycopg2.OperationalError:
        return None
    stack.callback(second.close)
    with connection.cursor() as its, second.cursor() as cursor:
        for name in _SHARED_SETTINGS:
            its.execute("SELECT current_setting(%s)", (name,))
            (value,) = its.fetchone() or ("",)
            cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
    return second


def _make_shared(
    second: Connection, shared: sql.Identifier, columns: Sequence[Column], *, unlogged: bool
) -> None:
    with second.cursor() as cursor:
        drop_shared(cursor, shared)
        make(cursor, shared, columns, unlogged=unlogged)
    second.commit()

"""Which errors of the warehouse are worth a retry."""

import psycopg2

from postgres_loader.copying import reason
from postgres_loader.errors import WarehouseError, WarehouseUnavailable

_MAY_PASS = (
    "08",  # the connection was lost
    "40",  # deadlock, serialization failure
    "53300",  # too many connections
    "55P03",  # a lock that others hold for too long
    "57P01",  # an administrator ended the session, or the server shuts down,
    "57P02",  # has crashed,
    "57P03",  # or is starting up
    "57P05",  # the session was idle for too long
)


def warehouse_error(name: str, error: psycopg2.Error) -> WarehouseError:
    """What to raise for an error that is not the input's fault; `name` is the table's."""
    kind = WarehouseUnavailable if may_pass(error) else WarehouseError
    return kind(f"{name}: {reason(error)}")


def may_pass(error: psycopg2.Error) -> bool:
    """Whether the same may succeed later, with a new connection."""
    if error.pgcode is None:
        # The driver's own: the connection is gone, or was closed under our hands.
        return isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
    return error.pgcode.startswith(_MAY_PASS)

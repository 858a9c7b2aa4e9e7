"""A table of the days of a year: plain SQL on a connection, and nothing of Dagster."""

from datetime import date

from psycopg2.extensions import connection as Connection

TABLE = "days"

_CREATE = """
    CREATE TABLE IF NOT EXISTS days (
        day date PRIMARY KEY,
        iso_week integer NOT NULL,
        is_weekend boolean NOT NULL
    )
"""
_INSERT = """
    INSERT INTO days
    SELECT day, extract(week FROM day), extract(isodow FROM day) > 5
    FROM generate_series(%s::timestamp, %s::timestamp, '1 day') AS series (day)
"""


def replace_days(connection: Connection, year: int) -> int:
    """Rebuild `days`, a row per day of the year; returns the number of rows.

    The caller commits. Readers see the old rows or the new ones, and are never blocked.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CREATE)
        cursor.execute("DELETE FROM days")
        cursor.execute(_INSERT, (date(year, 1, 1), date(year, 12, 31)))
        return int(cursor.rowcount)

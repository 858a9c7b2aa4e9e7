"""Looks at a landing zone, for the tests of arrivals."""

from datetime import UTC, date, datetime

from shop import LANDING_TABLES

from postgres_loader.arrivals import Cursor, Plan, plan
from postgres_loader.landing_zone import FileInfo

TODAY = date(2025, 6, 1)
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


def file(name: str, version: str = "1", modified: datetime = NOON) -> FileInfo:
    return FileInfo(name, 10, version, modified)


def look(
    cursor: Cursor, *files: FileInfo, whole: bool = True, today: date = TODAY, limit: int = 100
) -> Plan:
    """A look at the landing zone; what it leaves as cursor has been through its text form."""
    found = plan(cursor, files, LANDING_TABLES, files_are_whole=whole, last_day=today, limit=limit)
    assert Cursor.parse(found.cursor.dump()) == found.cursor
    return found

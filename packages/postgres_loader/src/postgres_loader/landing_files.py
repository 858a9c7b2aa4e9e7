"""Which files of the landing zone belong to which table, and to which of its days."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from postgres_loader.errors import LandingZoneError
from postgres_loader.sources import SUFFIXES
from postgres_loader.tables import Table

_DAY = r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
_SUFFIX = "|".join(map(re.escape, SUFFIXES))


@dataclass(frozen=True)
class Extent:
    """What a file holds: a day of a table, in UTC, or without a day the whole table."""

    table: Table
    day: date | None

    @property
    def is_before_its_table(self) -> bool:
        """True for a day before the first one of the table's partitions."""
        first = self.table.first_day
        return self.day is not None and first is not None and self.day < first

    @property
    def label(self) -> str:
        """For readers: `orders`, or `orders 2025-01-31`."""
        return self.table.name if self.day is None else f"{self.table.name} {self.day}"


@dataclass(frozen=True)
class Part:
    """Files that are loaded together: as all rows of a UTC day or, without one, of a table.

    `one_day` says that the files claim to hold that day alone, so that a row of another day in them
    is an error. A table's rows are without those of `own_days`, which have files of their own.
    `whole` is the file of the whole table, if there is one.
    """

    files: tuple[str, ...]
    day: date | None = None
    one_day: bool = False
    own_days: tuple[date, ...] = ()
    whole: tuple[str, ...] = ()


def classify(name: str, tables: Iterable[Table]) -> Extent | None:
    """What the file of that name holds; None when it belongs to no table.

    `<table>.<suffix>` is a whole table. `<table>_YYYY-MM-DD.<suffix>`, with or without
    `_anything` before the suffix, is a day of a table that has days. Names that cannot be printed
    belong to no table.
    """
    if not name.isprintable():
        return None
    for table in tables:
        pattern = rf"{re.escape(table.name)}(?:_{_DAY}(?:_.+)?)?(?:{_SUFFIX})"
        match = re.fullmatch(pattern, name)
        if match is None:
            continue
        if match["day"] is None:
            return Extent(table, None)
        day = _day(match["day"])
        if day is not None and table.day_column is not None:
            return Extent(table, day)
    return None


def parts(table: Table, names: Sequence[str], day: date | None = None) -> list[Part]:
    """How to load a table, or one day of it, from the landing zone's files.

    A day comes from its own files where there are any, and else from the file of the whole
    table. So a whole table with days comes from both, in several parts that do not overlap: the
    file of the whole table is read once, and first. Nothing when there is no file to load from.
    Raises LandingZoneError when there is more than one of the whole table.
    """
    of_days = _day_files(table, names)
    whole = _whole_file(table, names)
    own = [Part(tuple(of_days[d]), d, one_day=True, whole=whole) for d in sorted(of_days)]
    if day is None:
        own_days = tuple(sorted(of_days))
        return [*([Part(whole, own_days=own_days, whole=whole)] if whole else []), *own]
    if day in of_days:
        return [part for part in own if part.day == day]
    return [Part(whole, day, whole=whole)] if whole else []


def midnight(day: date) -> datetime:
    """The first instant of a day in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _day_files(table: Table, names: Iterable[str]) -> dict[date, list[str]]:
    found: dict[date, list[str]] = {}
    for name in sorted(names):
        extent = classify(name, [table])
        if extent is not None and extent.day is not None:
            found.setdefault(extent.day, []).append(name)
    return found


def _whole_file(table: Table, names: Iterable[str]) -> tuple[str, ...]:
    found = [name for name in sorted(names) if classify(name, [table]) == Extent(table, None)]
    if len(found) > 1:
        raise LandingZoneError(
            f"the landing zone holds {' and '.join(found)}: which of them is the table "
            f"{table.name}? Keep one",
            files=", ".join(found),
        )
    return tuple(found)


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    # The last day of all has no end that a datetime could say.
    return day if day < date.max else None

"""Loads a table, or one day of it, from the files of the landing zone."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial, reduce

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from postgres_loader.ddl import names
from postgres_loader.errors import BadInput, LandingZoneError, LoaderError, MassDeletion
from postgres_loader.landing_files import Part, parts
from postgres_loader.landing_zone import LandingZone, no_such_file
from postgres_loader.loading import LoadResult, Window, load
from postgres_loader.sources import CopySource, open_table_source
from postgres_loader.tables import Table

# What a window without a limit on one side has there.
BEGINNING = datetime.min.replace(tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)


@dataclass
class Outcome:
    """What became of the parts of a table: those that are loaded, and why others are not."""

    loaded: list[tuple[Part, LoadResult]] = field(default_factory=list)
    failures: list[LoaderError] = field(default_factory=list)

    @property
    def files(self) -> list[str]:
        """Names of the files that were loaded, each once."""
        return list(dict.fromkeys(name for part, _ in self.loaded for name in part.files))

    @property
    def result(self) -> LoadResult:
        """All of them as one. There has to be one."""
        return reduce(_together, (result for _, result in self.loaded))

    @property
    def changed_days(self) -> set[date]:
        """Days in UTC of which a row was changed."""
        return {day for _, result in self.loaded for day in result.days}

    def failure(self) -> LoaderError:
        """The failures as one. There has to be one."""
        first, *others = self.failures
        if not others and not self.loaded:
            return first
        more = f" (and {len(others)} more: {'; '.join(map(str, others))})" if others else ""
        return LoaderError(f"{first}{more}; what other files hold is loaded", **first.details)


def load_from_landing_zone(
    connection: Connection,
    zone: LandingZone,
    schema: str,
    table: Table,
    day: date | None = None,
    max_rejected_share: float | None = None,
    max_deleted_share: float | None = None,
) -> Outcome:
    """Make a table, or a day of it, what the landing zone has of it.

    `max_rejected_share` and `max_deleted_share`, 0 to 1, go for each part; None is the table's own.
    Every part is a load of its own: files of one day that are bad, or have gone, keep no other
    day from being loaded. Raises LandingZoneError when there is nothing to load from, and
    WarehouseError.
    """
    present = zone.names()
    outcome = Outcome()
    found = parts(table, present, day)
    if not found:
        name = f"{table.name}.csv" if day is None else f"{table.name}_{day}.csv"
        raise no_such_file(zone, name)
    for part in found:
        sources = [partial(_open_source, zone, name, table) for name in part.files]
        try:
            result = load(
                connection,
                schema,
                table,
                sources,
                missing="delete",
                window=_window(part),
                max_rejected_share=max_rejected_share,
                max_deleted_share=max_deleted_share,
            )
        except MassDeletion as error:
            connection.rollback()
            allowed = f"{{ops: {{{table.name}_table: {{config: {{max_deleted_share: 1}}}}}}}}"
            outcome.failures.append(
                LoaderError(
                    f"{error}. If it is right, launch the run with this config: {allowed}",
                    **error.details,
                )
            )
        except (BadInput, LandingZoneError) as error:
            connection.rollback()
            outcome.failures.append(error)
        else:
            outcome.loaded.append((part, result))
    return outcome


def day_versions(
    connection: Connection, schema: str, table: Table, days: Sequence[date]
) -> dict[date, str]:
    """For each of the days a text that is the same when, and only when, the day's rows are."""
    statement = sql.SQL(
        "SELECT {day}::date, md5(string_agg(md5(present::text), '' ORDER BY {key})) "
        "FROM {target} AS present WHERE {day}::date = ANY (%s) GROUP BY 1"
    ).format(
        day=sql.Identifier(table.day_column or ""),
        key=names(table.primary_key),
        target=sql.Identifier(schema, table.name),
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT set_config('timezone', 'UTC', true)")
        cursor.execute(statement, (list(days),))
        found = dict(cursor.fetchall())
    return {day: found.get(day, "no rows") for day in days}


@contextlib.contextmanager
def _open_source(zone: LandingZone, name: str, table: Table) -> Iterator[CopySource]:
    uri, opened = zone.uri_of(name), zone.info(name)

    def verify() -> None:
        if zone.info(name).version != opened.version:
            raise BadInput(uri, "it was changed while it was read; load it again")

    with (
        zone.open(name) as stream,
        open_table_source(uri, stream, name, table, verify=verify) as source,
    ):
        yield source


def _window(part: Part) -> Window | None:
    if part.start is None and part.end is None:
        return None
    # Rows without a day belong to the part that has no end, so that they are loaded once.
    dayless = part.end is None
    return Window(part.start or BEGINNING, part.end or END, exact=part.one_day, dayless=dayless)


def _together(first: LoadResult, second: LoadResult) -> LoadResult:
    return replace(
        second,
        rows=first.rows + second.rows,
        inserted=first.inserted + second.inserted,
        updated=first.updated + second.updated,
        deleted=first.deleted + second.deleted,
        bytes_read=first.bytes_read + second.bytes_read,
        rejected=first.rejected + second.rejected,
        rejected_rows=(*first.rejected_rows, *second.rejected_rows),
        unidentified=first.unidentified + second.unidentified,
        # A part's window leaves out what another part has.
        outside=0,
        days=first.days | second.days,
        new_columns=tuple(dict.fromkeys(first.new_columns + second.new_columns)),
        added_columns=tuple(dict.fromkeys(first.added_columns + second.added_columns)),
        changed=first.changed or second.changed,
    )

"""Loads a table, or one day of it, from the files of the landing zone."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial, reduce

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from postgres_loader.days import OwnDay, Scope, WholeTable
from postgres_loader.ddl import names
from postgres_loader.errors import (
    BadInput,
    LandingZoneError,
    LandingZoneUnavailable,
    LoaderError,
    MassDeletion,
)
from postgres_loader.landing_files import Part, parts
from postgres_loader.landing_zone import FileInfo, LandingZone, no_such_file
from postgres_loader.loading import LoadResult, load
from postgres_loader.progress import SILENT, Progress
from postgres_loader.settling import still_growing
from postgres_loader.sources import CopySource, open_table_source
from postgres_loader.tables import Table

DAYS_SHOWN = 20
TAKE_ALL = "replace_days: true"


@dataclass(frozen=True)
class Allowed:
    """What a load may do: shares from 0 to 1, None is the table's own.

    With `replace_days`, rows of files that have been moved away are replaced as all others are.
    """

    max_rejected_share: float | None = None
    max_deleted_share: float | None = None
    replace_days: bool = False


@dataclass
class Outcome:
    """What became of the parts of a table: those that are loaded, and why others are not.

    `kept` are sentences about days that keep the rows of files which have been moved away.
    """

    loaded: list[tuple[Part, LoadResult]] = field(default_factory=list)
    failures: list[LoaderError] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    @property
    def files(self) -> list[str]:
        """Names of the files that were loaded, each once."""
        return list(dict.fromkeys(name for part, _ in self.loaded for name in part.files))

    @property
    def result(self) -> LoadResult:
        """All of them as one. There has to be one."""
        return reduce(_sum, (result for _, result in self.loaded))

    def failure(self) -> LoaderError:
        """The failures as one. There has to be one."""
        first, *others = self.failures
        if not others and not self.loaded:
            return first
        more = f" (and {len(others)} more: {'; '.join(map(str, others))})" if others else ""
        loaded = "; what other files hold is loaded" if self.loaded else ""
        error = LoaderError(f"{first}{more}{loaded}", **first.details)
        error.may_pass = any(each.may_pass for each in self.failures)
        return error


def load_from_landing_zone(
    connection: Connection,
    zone: LandingZone,
    schema: str,
    table: Table,
    day: date | None = None,
    allowed: Allowed | None = None,
    loaded: Callable[[Part, LoadResult], None] = lambda part, result: None,
    progress: Progress = SILENT,
) -> Outcome:
    """Make a table, or a day of it, what the landing zone has of it.

    Every part is a load of its own, and `loaded` is called after each: files of one day that are
    bad, or have gone, keep no other day from being loaded. Raises LandingZoneError when there is
    nothing to load from, and WarehouseError.
    """
    files = {file.name: file for file in zone.files()}
    outcome = Outcome()
    allowed = allowed or Allowed()
    found = parts(table, list(files), day)
    if not found:
        name = f"{table.name}.csv" if day is None else f"{table.name}_{day}.csv"
        raise no_such_file(zone, name)
    progress.doing("waiting until files are written to their ends")
    growing = still_growing(zone, {name for part in found for name in part.files})
    if not zone.files_are_whole:
        files |= {file.name: file for file in zone.files()}
    for part in found:
        scope = _scope(zone, table, part, files, allowed)
        try:
            _refuse_growing(zone, part, growing)
            result = load(
                connection,
                schema,
                table,
                [partial(_open_source, zone, name, table) for name in part.files],
                missing="delete",
                scope=scope,
                max_rejected_share=allowed.max_rejected_share,
                max_deleted_share=allowed.max_deleted_share,
                progress=progress,
            )
        except MassDeletion as error:
            connection.rollback()
            uris = ", ".join(zone.uri_of(name) for name in part.files)
            launch = _launch(table, part.day, "max_deleted_share: 1")
            said = f"{uris}: {error}. If it is right, {launch}"
            outcome.failures.append(LoaderError(said, **error.details))
        except (BadInput, LandingZoneError) as error:
            connection.rollback()
            outcome.failures.append(error)
        else:
            outcome.loaded.append((part, result))
            outcome.kept += _kept(result.relation, table, part, scope)
            progress.ended(
                f"{schema}.{table.name}: {result.rows:,} rows are loaded: {result.inserted:,} new, "
                f"{result.updated:,} changed; {result.deleted:,} are deleted"
            )
            loaded(part, result)
    return outcome


def day_versions(
    connection: Connection, schema: str, table: Table, days: Sequence[date]
) -> dict[date, str]:
    """For each of the days a text that is the same when, and only when, the day's rows are."""
    if not days:
        return {}
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


def _scope(
    zone: LandingZone,
    table: Table,
    part: Part,
    files: Mapping[str, FileInfo],
    allowed: Allowed,
) -> Scope | None:
    if table.day_column is None:
        return None
    if part.day and part.one_day:
        # A file of the whole table that is there by now is not a later one.
        written = [files[name].modified for name in (*part.files, *part.whole)]
        return OwnDay(part.day, part.files, max(written), takes_all=allowed.replace_days)
    (name,) = part.files
    return WholeTable(
        table,
        files[name].modified,
        day=part.day,
        own=part.own_days,
        takes_all=allowed.replace_days,
    )


def _kept(relation: str, table: Table, part: Part, scope: Scope | None) -> Iterator[str]:
    """Sentences about days that keep the rows of files which have been moved away."""
    what, day = "", part.day
    if isinstance(scope, OwnDay) and scope.gone:
        what = f"{', '.join(scope.gone)} had of {day}, beside those of {', '.join(part.files)}"
    if isinstance(scope, WholeTable) and scope.left:
        more = len(scope.left) - DAYS_SHOWN
        days = ", ".join(map(str, scope.left[:DAYS_SHOWN])) + (f" and {more} more" * (more > 0))
        day = scope.left[0] if len(scope.left) == 1 else None
        what = (
            f"files of their own had of {days}: {part.files[0]} was not written after these, or "
            "has no rows of the days"
        )
    if what:
        yield (
            f"{relation} keeps the rows that {what}. Files that have been moved away take no "
            f"rows along. To replace the rows, {_launch(table, day, TAKE_ALL)}"
        )


def _launch(table: Table, day: date | None, config: str) -> str:
    """How to launch a run of the table's asset that may do more than others."""
    name = f"{table.name}_table"
    first, last = table.first_day, datetime.now(UTC).date()
    partition = f", partition {day}," if day and first and first <= day <= last else ""
    run_config = f"{{ops: {{{name}: {{config: {{{config}}}}}}}}}"
    return f"launch {name}{partition} once with this config: {run_config}"


def _refuse_growing(zone: LandingZone, part: Part, growing: set[str]) -> None:
    names_ = [name for name in part.files if name in growing]
    if names_:
        raise LandingZoneUnavailable(
            f"{zone.uri_of(names_[0])}: it is still being written; it was waited for",
            file=zone.uri_of(names_[0]),
        )


@contextlib.contextmanager
def _open_source(zone: LandingZone, name: str, table: Table) -> Iterator[CopySource]:
    uri, opened = zone.uri_of(name), zone.info(name)
    if opened.size == 0:
        raise BadInput(uri, "the file is empty, without even a header; put a complete file there")

    def verify() -> None:
        if zone.info(name).version != opened.version:
            raise BadInput(uri, "it was changed while it was read; load it again")

    with (
        zone.open(name) as stream,
        open_table_source(uri, stream, name, table, verify=verify) as source,
    ):
        source.size = opened.size
        yield source


def _sum(first: LoadResult, second: LoadResult) -> LoadResult:
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
        outside=first.outside + second.outside,
        days=first.days | second.days,
        undeclared=tuple(dict.fromkeys(first.undeclared + second.undeclared)),
        added_columns=tuple(dict.fromkeys(first.added_columns + second.added_columns)),
        changed=first.changed or second.changed,
    )

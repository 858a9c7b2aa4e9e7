from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from postgres_loader.arrivals import Cursor, CursorError, Plan, Request, plan
from postgres_loader.landing_zone import FileInfo
from postgres_loader.resources import LandingZoneResource
from postgres_loader.second_requests import second_requests
from postgres_loader.tables import Table
from postgres_loader.unmatched import look_alikes, named

# What is beyond is asked for at the next look: a tick has a minute, and a queue its readers.
REQUESTS_PER_TICK = 100
NAMES_SHOWN = 5
_NO_TIME = datetime.min.replace(tzinfo=UTC)


def build_landing_zone_sensor(
    tables: Sequence[Table], name: str = "landing_zone_sensor"
) -> dg.SensorDefinition:
    """The sensor that loads new and changed files of the tables; runs from the start."""

    @dg.sensor(
        name=name,
        description="Looks for new and changed files of the landing zone, and loads just those.",
        asset_selection=dg.AssetSelection.assets(*(f"{table.name}_table" for table in tables)),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def landing_zone_sensor(
        context: dg.SensorEvaluationContext, landing_zone: LandingZoneResource
    ) -> dg.SensorResult | dg.SkipReason:
        if not landing_zone.uri:
            return dg.SkipReason("LANDING_ZONE is not set, so there is no landing zone to look at")
        # A landing zone that cannot be listed fails the tick, which leaves the cursor as it is.
        zone = landing_zone.open()
        listing = zone.listing()
        # They are told once, as files of no table are.
        folders = [FileInfo(name, 0, "", _NO_TIME) for name in look_alikes(listing.folders)]
        found = plan(
            _cursor(context),
            [*listing.files, *folders],
            tables,
            files_are_whole=zone.files_are_whole,
            last_day=datetime.now(UTC).date(),
            limit=REQUESTS_PER_TICK,
        )
        assets = [f"{table.name}_table" for table in tables]
        again = second_requests(context.instance, assets, REQUESTS_PER_TICK)
        requests = [*map(_run_request, found.requests), *again]
        report = _report(found, tables)
        if again:
            report.append(f"{len(again)} runs are asked for again that failed for what may pass")
        for line in report:
            context.log.info(line)
        skipped = None if requests else f"nothing new in {zone.uri_of('')}"
        return dg.SensorResult(
            run_requests=requests or None,
            skip_reason="; ".join([skipped, *report]) if skipped else None,
            cursor=found.cursor.dump(),
        )

    return landing_zone_sensor


def _cursor(context: dg.SensorEvaluationContext) -> Cursor:
    try:
        return Cursor.parse(context.cursor)
    except CursorError as error:
        # Run keys keep what was asked for before from being loaded again.
        context.log.warning(f"the cursor cannot be read: {error}; looking at every file again")
        return Cursor()


def _run_request(request: Request) -> dg.RunRequest:
    day = request.extent.day
    return dg.RunRequest(
        run_key=request.run_key,
        asset_selection=[dg.AssetKey(f"{request.extent.table.name}_table")],
        partition_key=day.isoformat() if day else None,
        tags={"landing_zone/files": _named([file.name for file in request.files])},
    )


def _report(found: Plan, tables: Sequence[Table]) -> list[str]:
    said = {
        "perhaps still being written, looked at again": found.growing,
        "of a day that has not come, and left until then": found.early,
        "left for the next tick": [request.extent.label for request in found.postponed],
    }
    report = [f"{len(names)} {what}: {_named(names)}" for what, names in said.items() if names]
    if found.unknown:
        unknown = named(found.unknown, tables)
        report.insert(0, f"{len(found.unknown)} of no table, and left alone: {unknown}")
    return report


def _named(names: Sequence[str]) -> str:
    # Not every file name of a folder can be printed.
    shown = ", ".join(name if name.isprintable() else ascii(name) for name in names[:NAMES_SHOWN])
    more = len(names) - NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown

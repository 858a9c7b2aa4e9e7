"""Serve the metrics: `python -m stack_exporter`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)

from stack_exporter import containers, outside
from stack_exporter.counted import Counted
from stack_exporter.database import Database
from stack_exporter.groups import Group, Snapshot, work
from stack_exporter.queries import FAST_S, QUERIES, SLOW_S, Query
from stack_exporter.series import Family, Row

_BACKUPS = Path("/run/backup")
_DOCKER = Path("/run/docker/docker.sock")
_COUNTED = (
    Family(
        "dagster_exporter_folded_counters",
        'Jobs, schedules and sensors beyond the bound, counted under the label value "other".',
        (),
        "folded",
    ),
)


def say(text: str) -> None:
    """One line of the log."""
    print(text, file=sys.stderr, flush=True)


def of_database(database: Database, counted: Counted, fast_s: float = FAST_S) -> list[Group]:
    """The groups that are read from the database, by one thread and one connection."""

    def look() -> Sequence[Row]:
        counted.look(database.ask)
        return [{"folded": counted.folded}]

    def asked(query: Query) -> Group:
        every_s = max(query.every_s * fast_s / FAST_S, 1)
        return Group(query.name, every_s, lambda: database.ask(query.sql), query.families)

    return [
        Group("counted", fast_s, look, _COUNTED),
        *(asked(query) for query in QUERIES),
    ]


def of_the_outside(gateway: str, fast_s: float = FAST_S) -> list[Group]:
    """The groups that are not, by another thread: locations and certificate by the web gateway."""
    return [
        Group(
            "locations", fast_s, lambda: outside.locations(gateway, 8083), outside.LOCATION_FAMILIES
        ),
        Group(
            "certificate",
            outside.CERTIFICATE_EVERY_S,
            lambda: outside.certificate(gateway, 8080),
            outside.CERTIFICATE_FAMILIES,
        ),
        Group("containers", SLOW_S, containers.Containers(_DOCKER).look, containers.FAMILIES),
        # A file that the engine puts into each container, from the disk where it keeps volumes.
        Group("disk", SLOW_S, lambda: outside.disk("/etc/hostname"), outside.DISK_FAMILIES),
        Group("backups", SLOW_S, lambda: outside.backups(_BACKUPS), outside.BACKUP_FAMILIES),
    ]


def of_traces(database: Database, fast_s: float = FAST_S) -> list[Group]:
    """The group that sends spans, if there is an endpoint; for a thread of its own."""
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    if not endpoint:
        return []
    if not endpoint.startswith(("http://", "https://")):
        sys.exit(
            f"error: OTEL_EXPORTER_OTLP_ENDPOINT is {endpoint}: not an http or https URL."
            " Fix: http://collector:4318 in .env, the base of OTLP over HTTP."
        )
    # Takes 15 MiB of memory, so only who has an endpoint pays for it.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    from stack_exporter.tracing import Traces

    # Twice this is less than when a group counts as stuck.
    traces = Traces(OTLPSpanExporter(timeout=3), say)
    return [Group("traces", fast_s, lambda: traces.look(database.ask))]


def _number(name: str, default: int, least: int, most: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        sys.exit(
            f"error: {name} is {text}: it must be a whole number from {least} to {most}."
            " Fix: change it in .env."
        )
    return int(text)


def main() -> None:
    """Start the threads, serve, and end at SIGTERM."""
    limit = _number("METRICS_SERIES_LIMIT", 200, 10, 5000)
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    counted = Counted(registry, limit)
    password = Path("/run/secrets/dagster_monitoring_password")
    connect = partial(
        Database,
        os.environ.get("DAGSTER_POSTGRES_HOST", "postgres"),
        _number("DAGSTER_POSTGRES_PORT", 5432, 1, 65535),
        os.environ.get("DAGSTER_POSTGRES_DB", "dagster"),
        "dagster_monitoring",
        lambda: password.read_text().strip(),
    )
    fast_s = _number("METRICS_INTERVAL_S", int(FAST_S), 1, 600)
    inside = of_database(connect(), counted, fast_s)
    others = of_the_outside(os.environ.get("WEB_GATEWAY_HOST", "web-gateway-monitoring"), fast_s)
    traces = of_traces(connect(), fast_s)
    registry.register(Snapshot([*inside, *others, *traces], limit))
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    for groups in filter(None, (inside, others, traces)):
        # Daemons: one that hangs in Postgres keeps nobody from leaving.
        threading.Thread(target=work, args=(groups, stop, say), daemon=True).start()
    start_http_server(_number("METRICS_PORT", 9101, 1, 65535), registry=registry)
    say("serving metrics")
    stop.wait()


if __name__ == "__main__":
    main()

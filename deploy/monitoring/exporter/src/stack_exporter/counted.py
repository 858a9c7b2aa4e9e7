"""Counters and histograms of what has happened since the start: ended runs, finished ticks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram

from stack_exporter.series import Known, Row

Ask = Callable[..., list[Row]]

_DURATIONS_S = (1, 5, 15, 60, 300, 900, 3600, 14400)
_LATENCIES_S = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)
# Ids are given before a transaction commits, and a tick is made before it has a result. So ids this
# far back are looked at again.
_LOOK_BACK = 2000
_PAGE = 500
_ENDED_RUNS = (
    "SELECT * FROM monitoring.ended_runs WHERE id > %s AND id <> ALL(%s::bigint[])"
    " ORDER BY id LIMIT %s"
)
_FINISHED_TICKS = (
    "SELECT ticks.*, each.location, each.name FROM monitoring.ticks AS ticks"
    " LEFT JOIN monitoring.instigators AS each USING (selector_id)"
    " WHERE ticks.id > %s AND ticks.id <> ALL(%s::bigint[]) AND ticks.status <> 'STARTED'"
    " ORDER BY ticks.id LIMIT %s"
)


class _Feed:
    """Rows of a view with growing ids, each once."""

    def __init__(self, sql: str) -> None:
        self._sql = sql
        self._begin: int | None = None
        self._last = 0
        self._seen: deque[int] = deque(maxlen=2 * _LOOK_BACK)

    def begin(self, last: int) -> None:
        """Rows up to here are not new."""
        if self._begin is None:
            self._begin = self._last = last

    def new(self, ask: Ask) -> Iterator[Row]:
        """Those that have come since the last time; one that is handed out counts as seen."""
        assert self._begin is not None  # noqa: S101 # begin() comes first
        start = max(self._begin, self._last - _LOOK_BACK)
        while True:
            known = [each for each in self._seen if each > start]
            page = ask(self._sql, start, known, _PAGE)
            for row in page:
                self._seen.append(row["id"])
                self._last = start = max(self._last, row["id"])
                yield row
            if len(page) < _PAGE:
                return


class EndedRuns:
    """Rows of monitoring.ended_runs, from the moment of the first look on, each once."""

    def __init__(self) -> None:
        self._feed = _Feed(_ENDED_RUNS)

    def new(self, ask: Ask) -> Iterator[Row]:
        """Runs that have ended since the last look; at the first one, none."""
        [last] = ask("SELECT event FROM monitoring.last_ids")
        self._feed.begin(int(last["event"]))
        yield from self._feed.new(ask)


class Counted:
    """Counts from the moment of the first look on: counters begin at 0, as Prometheus expects."""

    def __init__(self, registry: CollectorRegistry, limit: int) -> None:
        self._jobs = Known(limit)
        self._instigators = Known(limit)
        self._ended, self._finished = EndedRuns(), _Feed(_FINISHED_TICKS)
        job = ("location", "job")
        self._runs = Counter(
            "dagster_runs_ended", "Runs that ended.", (*job, "status"), registry=registry
        )
        self._duration = Histogram(
            "dagster_run_duration_seconds",
            "From a run's start to its end.",
            job,
            buckets=_DURATIONS_S,
            registry=registry,
        )

        def latency(name: str, text: str, labels: tuple[str, ...] = ("location",)) -> Histogram:
            return Histogram(name, text, labels, buckets=_LATENCIES_S, registry=registry)

        self._wait = latency("dagster_run_queue_wait_seconds", "From queued to taken from it.")
        mode = ("location", "mode")
        self._launch = latency(
            "dagster_run_launch_seconds", "From taken from the queue to started.", mode
        )
        self._first = latency("dagster_run_first_step_seconds", "From started to first step.", mode)
        self._launches = Counter(
            "dagster_run_launches",
            "Runs that ended, by how they were launched: handed to a standby worker, or cold.",
            mode,
            registry=registry,
        )
        self._ticks = Counter(
            "dagster_ticks",
            "Ticks that finished.",
            ("location", "type", "name", "result"),
            registry=registry,
        )
        self._late = latency(
            "dagster_schedule_tick_lateness_seconds", "From when a tick was due to when it began."
        )

    @property
    def folded(self) -> int:
        """Label sets that are counted as "other"."""
        return self._jobs.folded + self._instigators.folded

    def look(self, ask: Ask) -> None:
        """Count what has ended since the last look; at the first one, nothing."""
        [last] = ask("SELECT tick FROM monitoring.last_ids")
        self._finished.begin(int(last["tick"]))
        for run in self._ended.new(ask):
            self._count_run(run)
        for tick in self._finished.new(ask):
            self._count_tick(tick)

    def _count_run(self, run: Row) -> None:
        location, job = self._jobs.labels((run["location"], run["job"]))
        self._runs.labels(location, job, run["status"]).inc()
        _observe(self._duration.labels(location, job), run["started_s"], run["ended_s"])
        _observe(self._wait.labels(location), run["enqueued_s"], run["starting_s"])
        if run["starting_s"] is None:
            return  # It ended in the queue.
        mode = "standby" if run["standby"] else "cold"
        self._launches.labels(location, mode).inc()
        _observe(self._launch.labels(location, mode), run["starting_s"], run["start_s"])
        _observe(self._first.labels(location, mode), run["start_s"], run["first_step_s"])

    def _count_tick(self, tick: Row) -> None:
        kind = tick["type"].lower()
        names = self._instigators.labels((tick["location"], kind, tick["name"]))
        self._ticks.labels(*names, tick["status"]).inc()
        if kind == "schedule":
            _observe(self._late.labels(names[0]), tick["due_s"], tick["made_s"])


def _observe(histogram: Histogram, begin: float | None, end: float | None) -> None:
    if begin is not None and end is not None:
        histogram.observe(max(0.0, end - begin))

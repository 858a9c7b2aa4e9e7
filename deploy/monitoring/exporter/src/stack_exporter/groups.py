"""Groups of metrics, collected in threads of their own, so that a scrape waits for nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from stack_exporter.series import Family, Row

# A group that failed is tried again after this, however seldom it is collected.
_RETRY_S = 15.0
Now = Callable[[], float]


@dataclass
class Group:
    """What is collected together.

    ``collect`` gives the rows of ``families``, and may take ``timeout_s`` before it counts as
    stuck. Rows are forgotten when it is not up: an old value looks like a good one.
    """

    name: str
    every_s: float
    collect: Callable[[], Sequence[Row]]
    families: tuple[Family, ...] = ()
    timeout_s: float = 10.0
    rows: Sequence[Row] = ()
    error: str = ""
    failures: int = 0
    took_s: float = 0.0
    begun_at: float | None = None
    done_at: float | None = None
    due_at: float = field(default=0.0)

    def run(self, now: Now, say: Callable[[str], None]) -> None:
        """Collect once; a failure is counted, and said when it is another one than before."""
        self.begun_at = started = now()
        try:
            self.rows = self.collect()
        except Exception as error:
            self.failures += 1
            text = (str(error).strip() or type(error).__name__).splitlines()[0]
            if text != self.error:
                say(f"{self.name}: {text}")
            self.error, self.rows, self.done_at = text, (), None
        else:
            if self.error:
                say(f"{self.name}: works again")
            self.error, self.done_at = "", now()
        self.took_s, self.begun_at = now() - started, None
        self.due_at = started + (min(self.every_s, _RETRY_S) if self.error else self.every_s)

    def is_up(self, now: float) -> bool:
        """Whether its rows are of now: of the last rounds, and it is not stuck in this one."""
        if self.done_at is None or now - self.done_at > 2 * self.every_s + self.timeout_s:
            return False
        return self.begun_at is None or now - self.begun_at <= self.timeout_s


def work(
    groups: Sequence[Group],
    stop: threading.Event,
    say: Callable[[str], None],
    now: Now = time.monotonic,
) -> None:
    """Collect each group when it is due, one after the other, until told to stop."""
    while not stop.is_set():
        for group in groups:
            if group.due_at <= now() and not stop.is_set():
                group.run(now, say)
        stop.wait(max(0.05, min(group.due_at for group in groups) - now()))


class Snapshot(Collector):
    """What the groups last said, and how they are."""

    def __init__(self, groups: Sequence[Group], limit: int, now: Now = time.monotonic) -> None:
        self._groups, self._limit, self._now = groups, limit, now

    def collect(self) -> Iterator[Metric]:
        """All gauges; no waiting."""
        now = self._now()
        up = GaugeMetricFamily(
            "dagster_exporter_group_up",
            "Whether the metrics of a group are of now. If 0, they are left out.",
            labels=["group"],
        )
        took = GaugeMetricFamily(
            "dagster_exporter_group_seconds", "How long it took last.", labels=["group"]
        )
        failures = CounterMetricFamily(
            "dagster_exporter_group_failures", "How often it failed.", labels=["group"]
        )
        folded = GaugeMetricFamily(
            "dagster_exporter_folded_series",
            'Series beyond the bound, gathered under the label value "other".',
            labels=["metric"],
        )
        for group in self._groups:
            is_up, rows = group.is_up(now), group.rows
            up.add_metric([group.name], float(is_up))
            took.add_metric([group.name], group.took_s)
            failures.add_metric([group.name], group.failures)
            for family in group.families if is_up else ():
                samples, more = family.bounded(family.samples(rows), self._limit)
                gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
                for labels, value in samples.items():
                    gauge.add_metric(labels, value)
                yield gauge
                folded.add_metric([family.name], more)
        yield from (up, took, failures, folded)

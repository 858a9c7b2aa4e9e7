"""Spans of ended runs, sent to an OpenTelemetry endpoint: queue, launch, container, steps."""

from __future__ import annotations

import logging
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span, Status, StatusCode, set_span_in_context

from stack_exporter.counted import Ask, EndedRuns
from stack_exporter.series import Row

# A run of thousands of steps would be larger than what collectors take in one request.
_STEP_EVENTS = 4000
_STEPS = (
    "SELECT step, kind, at_s FROM monitoring.step_events WHERE run_id = %s ORDER BY id LIMIT %s"
)
_BEGINS = ("STEP_START", "STEP_RESTARTED")
# Runs that are kept while the endpoint is away; beyond, they stay in the database for later.
_WAITING = 10_000
# Its own tracebacks: what is wrong is said once, by the group.
logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)


class _RunIds(RandomIdGenerator):
    """A trace has its run's id, so each is found by the other."""

    run_id = 0

    def generate_trace_id(self) -> int:
        return self.run_id


class Traces:
    """Sends each run that ends from the first look on, once the endpoint takes it."""

    def __init__(self, endpoint: SpanExporter, say: Callable[[str], None]) -> None:
        self._endpoint, self._say = endpoint, say
        self._runs = EndedRuns()
        self._waiting: deque[Row] = deque()
        self._ids, self._made = _RunIds(), InMemorySpanExporter()
        provider = TracerProvider(id_generator=self._ids, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._made))
        self._tracer = provider.get_tracer("stack_exporter")

    def look(self, ask: Ask) -> Sequence[Row]:
        """Send what has ended since the last look; no rows.

        Raises OSError when the endpoint does not take them: they are sent at a later look. A run
        that is refused before and after another is taken is given up, and named.
        """
        if len(self._waiting) < _WAITING:
            self._waiting.extend(self._runs.new(ask))
        refused: list[Row] = []
        while self._waiting and len(refused) < 2:
            is_taken = self._send(self._waiting[0], ask)
            run = self._waiting.popleft()
            if not is_taken:
                refused.append(run)
                continue
            for one in refused:
                if not self._send(one, ask):
                    self._say(f"traces: the endpoint refuses run {one['run_id']}; it is not sent")
            refused.clear()
        self._waiting.extendleft(reversed(refused))
        if refused:
            raise OSError(
                f"OTEL_EXPORTER_OTLP_ENDPOINT does not take spans; {len(self._waiting)} runs wait"
            )
        return []

    def _send(self, run: Row, ask: Ask) -> bool:
        """Whether the endpoint takes it."""
        spans = self.spans(run, ask(_STEPS, run["run_id"], _STEP_EVENTS))
        return self._endpoint.export(spans) is SpanExportResult.SUCCESS

    def spans(self, run: Row, events: Sequence[Row]) -> Sequence[ReadableSpan]:
        """A run's spans: the run itself; in it queue, launch and container; in that the steps."""
        times = [run[name] for name in ("enqueued_s", "starting_s", "start_s", "started_s")]
        begin = next((at for at in times if at is not None), run["ended_s"])
        end = run["ended_s"] or max((at for at in times if at is not None), default=None)
        if begin is None or end is None:
            return ()
        self._ids.run_id = uuid.UUID(run["run_id"]).int
        self._made.clear()
        about = {
            "dagster.run_id": run["run_id"],
            "dagster.location": run["location"] or "",
            "dagster.job": run["job"],
            "dagster.run_status": run["status"],
        }
        with self._span(run["job"], begin, end, None, run["status"] == "FAILURE", about) as whole:
            self._add("queue", run["enqueued_s"], run["starting_s"], whole)
            self._add("launch", run["starting_s"], run["start_s"], whole)
            container = {
                "container.id": run["container"] or "",
                "dagster.launch_mode": "standby" if run["standby"] else "cold",
            }
            began = run["container_s"] or run["start_s"]
            with self._span("container", began or end, end, whole, False, container) as inside:
                for step, at, until, failed in _attempts(events, end):
                    self._add(step, at, until, inside, failed, {"dagster.step": step})
        return [*self._made.get_finished_spans()]

    def _add(
        self,
        name: str,
        begin: float | None,
        end: float | None,
        parent: Span,
        failed: bool = False,
        attributes: dict[str, str] | None = None,
    ) -> None:
        if begin is not None and end is not None:
            with self._span(name, begin, end, parent, failed, attributes or {}):
                pass

    @contextmanager
    def _span(
        self,
        name: str,
        begin: float,
        end: float,
        parent: Span | None,
        failed: bool,
        attributes: dict[str, str],
    ) -> Iterator[Span]:
        span = self._tracer.start_span(
            name,
            set_span_in_context(parent) if parent else None,
            attributes=attributes,
            start_time=int(begin * 1e9),
        )
        yield span
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(int(max(begin, end) * 1e9))


def _attempts(events: Sequence[Row], run_end: float) -> Iterator[tuple[str, float, float, bool]]:
    """Each attempt of each step: its name, when it began and ended, and whether it failed.

    One without an end of its own failed with its run.
    """
    open_: dict[str, float] = {}
    for event in events:
        if event["kind"] in _BEGINS:
            open_[event["step"]] = event["at_s"]
        elif (begin := open_.pop(event["step"], None)) is not None:
            yield event["step"], begin, event["at_s"], event["kind"] != "STEP_SUCCESS"
    for step, begin in open_.items():
        yield step, begin, run_end, True

"""Spans of runs in a real database, as an endpoint of OTLP over HTTP gets them."""

from __future__ import annotations

import gzip
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from dagster import DagsterInstance
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from conftest import NewRun, execute
from stack_exporter.__main__ import of_traces
from stack_exporter.database import Database
from stack_exporter.tracing import Traces


class Endpoint:
    """A collector: what it got, and what it answers."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.refuses: set[str] = set()
        self.is_away = False
        self.comes_back_after = 0
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                self.send_response(endpoint.take(self.path, body))
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)

    def take(self, path: str, body: bytes) -> int:
        request = ExportTraceServiceRequest.FromString(body)
        spans = [
            span
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        if self.comes_back_after:
            self.comes_back_after -= 1
            return 400
        if path != "/v1/traces" or self.is_away or {s.trace_id.hex() for s in spans} & self.refuses:
            return 400
        self.spans += spans
        return 200

    def of(self, run_id: str) -> dict[str, Span]:
        """The spans of a run by name; each is there once."""
        found = [span for span in self.spans if span.trace_id == uuid.UUID(run_id).bytes]
        assert len({span.name for span in found}) == len(found)
        return {span.name: span for span in found}


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    found = Endpoint()
    threading.Thread(target=found.server.serve_forever, args=(0.05,), daemon=True).start()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def traces(endpoint: Endpoint, database: Database, said: list[str]) -> Traces:
    url = f"http://127.0.0.1:{endpoint.server.server_port}/v1/traces"
    found = Traces(OTLPSpanExporter(endpoint=url, timeout=3), said.append)
    found.look(database.ask)
    return found


def test_queue_launch_container_and_steps(
    traces: Traces,
    endpoint: Endpoint,
    database: Database,
    dagster: DagsterInstance,
    new_run: NewRun,
) -> None:
    good, bad = new_run("elt"), new_run("analytics", "failing")
    execute(dagster, good)
    execute(dagster, bad, "Handing the run to standby worker")
    traces.look(database.ask)
    traces.look(database.ask)
    spans = endpoint.of(good.run_id)
    assert spans.keys() == {"plain", "queue", "launch", "container", "one"}
    parents = {name: span.parent_span_id for name, span in spans.items()}
    whole, container = spans["plain"].span_id, spans["container"].span_id
    assert parents == {
        "plain": b"",
        **dict.fromkeys(("queue", "launch", "container"), whole),
        "one": container,
    }
    for span in spans.values():
        assert spans["plain"].start_time_unix_nano <= span.start_time_unix_nano
        assert span.start_time_unix_nano <= span.end_time_unix_nano
    assert spans["queue"].end_time_unix_nano <= spans["launch"].end_time_unix_nano
    assert spans["one"].start_time_unix_nano >= spans["container"].start_time_unix_nano
    about = {each.key: each.value.string_value for each in spans["plain"].attributes}
    assert about == {
        "dagster.run_id": good.run_id,
        "dagster.location": "elt",
        "dagster.job": "plain",
        "dagster.run_status": "SUCCESS",
    }
    about = {each.key: each.value.string_value for each in spans["container"].attributes}
    assert about == {"container.id": "0123456789ab", "dagster.launch_mode": "cold"}
    # Of the failed run, itself and its step are errors.
    spans = endpoint.of(bad.run_id)
    errors = {n for n, span in spans.items() if span.status.code == Status.STATUS_CODE_ERROR}
    assert errors == {"failing", "broken"}


def test_runs_wait_for_an_endpoint_that_is_away(
    traces: Traces,
    endpoint: Endpoint,
    database: Database,
    dagster: DagsterInstance,
    new_run: NewRun,
) -> None:
    runs = [new_run("elt") for _ in range(3)]
    for run in runs:
        execute(dagster, run)
    endpoint.is_away = True
    for _ in range(2):
        with pytest.raises(OSError, match="does not take spans; 3 runs wait"):
            traces.look(database.ask)
    endpoint.is_away = False
    traces.look(database.ask)
    for run in runs:
        assert len(endpoint.of(run.run_id)) == 5


def test_an_endpoint_that_comes_back_during_a_look_gets_all(
    traces: Traces,
    endpoint: Endpoint,
    database: Database,
    dagster: DagsterInstance,
    new_run: NewRun,
    said: list[str],
) -> None:
    runs = [new_run("elt") for _ in range(2)]
    for run in runs:
        execute(dagster, run)
    endpoint.comes_back_after = 1
    traces.look(database.ask)
    assert said == []
    for run in runs:
        assert len(endpoint.of(run.run_id)) == 5


def test_a_run_that_is_refused_keeps_no_other_waiting(
    traces: Traces,
    endpoint: Endpoint,
    database: Database,
    dagster: DagsterInstance,
    new_run: NewRun,
    said: list[str],
) -> None:
    bad, good = new_run("elt"), new_run("elt")
    for run in (bad, good):
        execute(dagster, run)
    endpoint.refuses = {uuid.UUID(bad.run_id).hex}
    traces.look(database.ask)
    assert said == [f"traces: the endpoint refuses run {bad.run_id}; it is not sent"]
    assert len(endpoint.of(good.run_id)) == 5


def test_a_step_that_never_ended_ends_with_its_run(traces: Traces) -> None:
    run = {
        **dict.fromkeys(("enqueued_s", "starting_s", "started_s", "container_s")),
        **{"run_id": str(uuid.uuid4()), "location": None, "job": "j", "status": "FAILURE"},
        **{"start_s": 10.0, "ended_s": 20.0, "container": None, "standby": False},
    }
    events = [
        {"step": "a", "kind": kind, "at_s": at}
        for kind, at in (("STEP_START", 11), ("STEP_UP_FOR_RETRY", 12), ("STEP_RESTARTED", 13))
    ]
    spans = [span for span in traces.spans(run, events) if span.name == "a"]
    assert [(span.start_time, span.end_time) for span in spans] == [
        (11_000_000_000, 12_000_000_000),
        (13_000_000_000, 20_000_000_000),
    ]
    assert not any(span.status.is_ok for span in spans)


def test_without_an_endpoint_nothing_is_sent(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    assert of_traces(database) == []
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")
    with pytest.raises(SystemExit, match="is collector:4317: not an http or https URL"):
        of_traces(database)

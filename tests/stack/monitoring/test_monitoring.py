"""The profile monitoring: a real Prometheus has what happened, and what is stuck."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from harness import Stack, until
from runs import launch
from watchers import watching

SERVICES = ("exporter", "prometheus")
COLLECTOR = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).hex())
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("", 4318), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def monitored(stack: Stack) -> Iterator[Stack]:
    """The stack with the profile, without Grafana, whose image cannot be had everywhere."""
    name = f"{stack.project}-collector"
    endpoint = "http://collector:4318"
    with watching(stack, "monitoring", *SERVICES, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint):
        try:
            # It makes the network of the collector, which is there before the exporter.
            stack.compose("up", "--detach", "--no-deps", "--wait", "web_gateway")
            # An endpoint of OTLP over HTTP; its log is what it got, in hexadecimal digits.
            stack.run(
                *("docker", "run", "--detach", f"--name={name}", "--network-alias=collector"),
                *(f"--network={stack.project}_monitoring", f"{stack.project}/exporter:live"),
                *("python", "-uc", COLLECTOR),
            )
            stack.compose("up", "--detach", "--no-deps", "--wait", *SERVICES)
            until(lambda: is_value(stack, 'dagster_exporter_group_up{group="counted"}', 1), 60)
            yield stack
        finally:
            stack.run("docker", "rm", "--force", name, check=False)


def ask(stack: Stack, query: str) -> list[tuple[dict[str, str], float]]:
    """What Prometheus answers through the web gateway: labels and values."""
    address = f"{stack.url}/prometheus/api/v1/query"
    answer = httpx.get(address, params={"query": query}, timeout=10, verify=False)
    assert answer.status_code == 200, answer.text
    found = answer.json()["data"]["result"]
    return [(each["metric"], float(each["value"][1])) for each in found]


def is_value(stack: Stack, query: str, value: float) -> None:
    """Raises AssertionError while the query's one value is another."""
    found = ask(stack, query)
    assert [each for _, each in found] == [value], (query, found)


def test_what_happened_is_there(monitored: Stack) -> None:
    def ended(location: str) -> str:
        return (
            f'sum(dagster_runs_ended_total{{location="{location}",status="SUCCESS"}} or vector(0))'
        )

    before = {name: ask(monitored, ended(name))[0][1] for name in ("scenarios", "ready")}
    for name in before:
        launch(monitored, name, "tick_job").wait()
    for name, count in before.items():
        # The location `ready` has a run each minute, too.
        until(lambda name=name, count=count: is_more(monitored, ended(name), count), 30)  # type: ignore[misc]
    of_job = 'dagster_runs_ended_total{location="scenarios",job="tick_job",status="SUCCESS"}'
    is_value(monitored, f"{of_job} >= bool 1", 1)
    cold = 'dagster_run_launches_total{location="scenarios",mode="cold"} >= bool 1'
    is_value(monitored, cold, 1)
    services = 'kind="service",service=~"scenarios|postgres"'
    memory = f"count(stack_container_memory_bytes{{{services}}} > 1e7)"
    until(lambda: is_value(monitored, memory, 2), 30)
    for latency in ("run_queue_wait", "run_launch", "run_first_step"):
        counted = f'sum(dagster_{latency}_seconds_count{{location="scenarios"}})'
        assert ask(monitored, f"{counted} >= 1"), latency
    for name in ("elt", "analytics"):
        is_value(monitored, f'dagster_location_loaded{{location="{name}"}}', 1)
        [(labels, _)] = ask(monitored, f'dagster_location_release{{location="{name}"}}')
        assert labels["image"].startswith(f"{monitored.project}/{name}:")
    is_value(monitored, "time() - max(dagster_daemon_heartbeat_timestamp_seconds) < bool 90", 1)
    is_value(monitored, 'postgres_database_size_bytes{database="dagster"} > bool 1e6', 1)
    is_value(monitored, "stack_disk_free_bytes > bool 0", 1)

    def all_up() -> None:
        assert ask(monitored, "dagster_exporter_group_up == 0") == []

    # The gateway was recreated when the exporter looked first.
    until(all_up, 40)
    # It serves without TLS here, and nothing makes backups.
    for absent in ("web_gateway_certificate_end_timestamp_seconds", "backup_last_success_seconds"):
        assert ask(monitored, absent) == []


def is_more(stack: Stack, query: str, than: float) -> None:
    [(_, value)] = ask(stack, query)
    assert value > than


def test_a_run_is_a_trace_with_its_id(monitored: Stack) -> None:
    run = launch(monitored, "scenarios", "tick_job")
    run.wait()

    def sent() -> None:
        got = monitored.run("docker", "logs", f"{monitored.project}-collector").splitlines()
        traces = [line for line in got if run.id.replace("-", "") in line]
        assert len(traces) == 1
        for name in ("tick_job", "queue", "launch", "container", "dagster.step"):
            assert name.encode().hex() in traces[0], name
        # Of which container, by the run launcher's own message.
        assert b"container.id\x12\x0e\n\x0c".hex() in traces[0]

    until(sent, 40)


def test_a_stuck_database_is_a_metric_and_an_alert(monitored: Stack) -> None:
    up = 'dagster_exporter_group_up{group="queue"}'
    alert = 'ALERTS{alertname="DatabaseAway",alertstate="firing"}'
    is_value(monitored, up, 1)
    postgres = monitored.container("postgres")
    monitored.run("docker", "pause", postgres)
    try:
        until(lambda: is_value(monitored, up, 0), 40)
        until(lambda: is_value(monitored, alert, 1), 40)
        # The scrape waited for nobody.
        is_value(monitored, 'up{job="dagster"}', 1)
        is_value(monitored, "scrape_duration_seconds < bool 1", 1)
        assert ask(monitored, "dagster_active_runs") == []
    finally:
        monitored.run("docker", "unpause", postgres)
    until(lambda: is_value(monitored, up, 1), 60)

    def over() -> None:
        assert ask(monitored, alert) == []

    until(over, 30)


def test_their_network_is_no_way_to_the_webserver(monitored: Stack) -> None:
    """The gateway asks for no login here, but for the network that a request comes from."""
    script = """
import http.client, sys
for port, path in ((8080, "/graphql"), (8080, "/grafana/"), (8083, "/graphql")):
    asked = http.client.HTTPConnection("web-gateway-monitoring", port, timeout=10)
    headers = {"Host": "localhost", "Content-Type": "application/json"}
    asked.request("POST", path, '{"query":"{version}"}', headers)
    print(asked.getresponse().status)
"""
    said = monitored.compose("exec", "-T", "exporter", "python", "-c", script)
    assert said.split() == ["403", "403", "403"]


def test_the_exporter_is_small(monitored: Stack) -> None:
    """Figures: docs/monitoring.md."""
    [(_, bytes_)] = ask(monitored, 'process_resident_memory_bytes{job="dagster"}')
    assert bytes_ < 100 << 20

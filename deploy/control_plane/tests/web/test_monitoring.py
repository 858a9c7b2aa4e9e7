"""Prometheus and Grafana beside Dagster, and the one question of the metrics exporter."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from programs import (
    JSON,
    LOGIN,
    PAGE,
    ROOT,
    Answer,
    Gateway,
    ask,
    free_port,
    gateway,
    running,
    until,
)

HERE = {"Host": "localhost:3000"}
CONFIGURATION = ROOT / "deploy/monitoring/prometheus"
QUESTION = re.search(
    r"acl question req.body -m str '(.*)'$",
    (ROOT / "deploy/gateway/web/haproxy.cfg").read_text(),
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Debian's, with the stack's configuration, under a prefix."""
    found = subprocess.run(
        [ROOT / ".ci/debian-programs", "prometheus", "promtool"],
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode:
        pytest.skip(f"prometheus of Debian: {found.stderr.strip()}")
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    command = [
        *(f"{found.stdout.strip()}/prometheus", f"--storage.tsdb.path={folder}/data"),
        f"--config.file={CONFIGURATION}/prometheus.yml",
        *(f"--web.listen-address=127.0.0.1:{port}", "--web.external-url=/dagster/prometheus"),
    ]
    with running(command, folder / "output"):

        def ready() -> bool:
            return ask(port, "/dagster/prometheus/-/ready").status == 200

        until(ready, str(folder / "output"))
        yield port


class Echo(BaseHTTPRequestHandler):
    """In Grafana's place: says what it was asked."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        told = {"path": self.path, "headers": dict(self.headers), "body": body.decode()}
        text = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def grafana() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def settings(prometheus: int, grafana: int) -> dict[str, str]:
    return {
        "WEB_PROFILES": "viewers,monitoring",
        "PROMETHEUS_ADDRESS": f"127.0.0.1:{prometheus}",
        "GRAFANA_ADDRESS": f"127.0.0.1:{grafana}",
        # Of its own: what comes in by the address of their network is refused.
        "WEB_MONITORING_ADDRESS": f"127.0.0.2:{free_port()}",
        "WEB_PATH_PREFIX": "/dagster",
    }


@pytest.fixture(scope="module")
def on(
    webservers: dict[str, int],
    settings: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("on") / "gateway"
    with gateway(folder, webservers["/dagster"], **settings) as found:
        yield found


def test_prometheus_answers_there(on: Gateway) -> None:
    answer = ask(on.port, "/dagster/prometheus/api/v1/query?query=1", HERE)
    assert answer.status == 200, answer
    assert json.loads(answer.body)["data"]["result"][1] == "1"
    rules = ask(on.port, "/dagster/prometheus/api/v1/rules", HERE)
    assert "DatabaseAway" in rules.body
    page = ask(on.port, "/dagster/prometheus/", HERE | PAGE)
    assert page.status in {200, 302}, page
    assert ask(on.port, "/dagster/server_info", HERE).status == 200


def test_grafana_gets_pages_and_questions_and_no_claims_of_who_asks(on: Gateway) -> None:
    claims = {"X-WEBAUTH-USER": "admin", "Authorization": "Basic x", "X-Forwarded-User": "admin"}
    answer = ask(on.port, "/dagster/grafana/d/dagster-overview", HERE | PAGE | claims)
    told = json.loads(answer.body)
    assert told["path"] == "/dagster/grafana/d/dagster-overview"
    names = {name.lower() for name in told["headers"]}
    assert not names & {"authorization", "x-forwarded-user", "x-webauth-user"}
    [policy] = answer.header("content-security-policy")
    assert "frame-ancestors 'none'" in policy
    asked = ask(on.port, "/dagster/grafana/api/ds/query?ds_type=prometheus", HERE | JSON, "{}")
    assert json.loads(asked.body)["body"] == "{}"


@pytest.mark.parametrize(
    ("path", "headers", "body", "rule"),
    [
        ("/dagster/prometheus/api/v1/query", JSON, "{}", "post-path"),
        ("/dagster/prometheus/-/reload", JSON, "{}", "monitoring-path"),
        ("/dagster/prometheus/debug/pprof/heap", {}, None, "monitoring-path"),
        ("/dagster/grafana/api/dashboards/db", JSON, "{}", "post-path"),
        ("/dagster/grafana/api/ds/query", {"Content-Type": "text/plain"}, "{}", "content-type"),
        (
            "/dagster/grafana/api/ds/query",
            JSON | {"Origin": "https://evil.example"},
            "{}",
            "origin",
        ),
        ("/dagster/grafana/%2e%2e/graphql", JSON, "{}", "path"),
    ],
)
def test_what_is_refused(
    on: Gateway, path: str, headers: dict[str, str], body: str | None, rule: str
) -> None:
    answer = ask(on.port, path, HERE | headers, body)
    assert answer.body.startswith(f"web gateway, rule {rule}: "), answer


def test_the_exporters_question_and_no_other(on: Gateway, settings: dict[str, str]) -> None:
    assert QUESTION
    port = int(settings["WEB_MONITORING_ADDRESS"].rpartition(":")[2])

    def told(path: str, headers: dict[str, str], body: str | None = None) -> Answer:
        return ask(port, path, headers, body, server="127.0.0.2")

    answer = told("/graphql", JSON, QUESTION[1])
    assert answer.status == 200, answer
    assert json.loads(answer.body)["data"] == {"workspaceOrError": {"locationEntries": []}}
    # Wherever it is sent to, it is this question.
    assert told("/report_asset_materialization/a", JSON, QUESTION[1]).body == answer.body
    assert told("/graphql?query=mutation", {}, QUESTION[1]).body == answer.body
    for body in ('{"query":"{version}"}', QUESTION[1] + " ", '{"query":"mutation{a}"}'):
        assert told("/graphql", JSON, body).status == 403
    assert told("/", {}).status == 403
    assert told("/graphql", JSON | {"Upgrade": "websocket"}, QUESTION[1]).status == 403


def test_behind_the_login(
    webservers: dict[str, int], settings: dict[str, str], tmp_path: Path
) -> None:
    proxied = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
    here = {"Host": "dagster.example.com"} | proxied
    login = {"WEB_TRUSTED_PROXIES": "host", "WEB_HOSTS": "dagster.example.com"}
    address = {"WEB_MONITORING_ADDRESS": f"127.0.0.2:{free_port()}"}
    with gateway(
        tmp_path / "gateway", webservers["/dagster"], **settings | login | address
    ) as found:
        for path in ("/dagster/prometheus/api/v1/query?query=1", "/dagster/grafana/"):
            assert ask(found.port, path, here).status == 401
            assert ask(found.port, path, here | LOGIN).status == 200


def test_their_network_is_no_way_in(
    webservers: dict[str, int], settings: dict[str, str], tmp_path: Path
) -> None:
    address = {"WEB_MONITORING_ADDRESS": f"127.0.0.1:{free_port()}"}
    with gateway(tmp_path / "gateway", webservers["/dagster"], **settings | address) as found:
        for body in (None, '{"query":"{version}"}'):
            answer = ask(found.port, "/dagster/graphql", HERE | JSON, body)
            assert answer.status == 403
            assert answer.body.startswith("web gateway, rule monitoring-network: ")


def test_without_the_profile_there_is_nothing(webservers: dict[str, int], tmp_path: Path) -> None:
    with gateway(tmp_path / "gateway", webservers[""]) as found:
        for path in ("/grafana/", "/prometheus/"):
            answer = ask(found.port, path, HERE | PAGE)
            assert answer.body.startswith("web gateway, rule prefix: ")
        answer = ask(found.port, "/grafana/api/ds/query", HERE | JSON, "{}")
        assert answer.body.startswith("web gateway, rule post-path: ")

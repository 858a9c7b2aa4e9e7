"""The access log, and what the gateway's settings do."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace

import pytest

from harness import until
from web_gateway_requests import CROSS, JSON
from web_gateways import Gateway, Upstream, web_gateway

SECRET = "planted-secret-c2VjcmV0"
LAUNCH = """mutation Quietly($params: ExecutionParams!) {
  launched: launchRun(executionParams: $params) {
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}"""
TERMINATE = "mutation Stop($runId: String!) { terminateRun(runId: $runId) { __typename } }"


def test_who_did_which_mutation(gateway: Gateway, location: str) -> None:
    before = len(gateway.logs())
    selector = {
        "repositoryLocationName": location,
        "repositoryName": "__repository__",
        "jobName": "tick_job",
    }
    tags = [{"key": "note", "value": SECRET}]
    params = {
        "selector": selector,
        "mode": "default",
        "executionMetadata": {"tags": tags},
    }
    variables = {"params": params}
    body = json.dumps({"operationName": "Quietly", "query": LAUNCH, "variables": variables})
    headers = [JSON, ("Authorization", f"Bearer {SECRET}"), ("Cookie", f"session={SECRET}")]
    answer = gateway.ask("POST", f"/graphql?op={SECRET[:7]}", headers, body)
    run = json.loads(answer.body)["data"]["launched"]["run"]["runId"]
    line = gateway.logged(before, mutation="launchRun")
    assert line["operation"] == "Quietly"
    assert line["run"] == run
    assert line["client"] and line["time"] and line["ms"] >= 0
    assert SECRET not in str(gateway.logs())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"query": TERMINATE, "variables": {"runId": "a-1"}}, ("terminateRun", "a-1")),
        ({"query": "query { version } mutation M { x: y { z } }"}, ("y", "")),
        ({"query": "#mutation a\nmutation($m: S)\n{\n launchRun"}, ("launchRun", "")),
        ({"query": "{ version }", "variables": {"runIds": ["a", "b"]}}, ("", "a,b")),
        ({"query": "query Q { mutations }"}, ("?", "")),
        ('{"query": "{ version }", "query": "mutation { x }"}', ("?", "")),
        (r'{"qu\u0065ry": "\u006dutation { x }"}', ("?", "")),
        ("[" + " " * 60_000 + "]", ("?", "")),
        ("no json", ("", "")),
    ],
    ids=[
        *("with-run", "beside-a-query", "with-comment", "query", "like-a-mutation"),
        *("two-queries", "escaped", "beyond-what-is-read", "no-json"),
    ],
)
def test_what_the_log_says_of_a_body(
    gateway: Gateway, body: dict[str, object] | str, expected: tuple[str, str]
) -> None:
    before = len(gateway.logs())
    gateway.ask("POST", "/graphql", [JSON], body if isinstance(body, str) else json.dumps(body))
    line = gateway.logged(before, path="/graphql")
    assert (line["mutation"], line["run"]) == expected


def test_by_default_the_log_holds_what_changes_or_fails(upstream: Upstream) -> None:
    with web_gateway(upstream, WEB_LOG="changes") as gateway:
        before = len(gateway.logs())
        assert gateway.graphql("query Read { version }").status == 200
        assert gateway.ask("GET", "/").status == 200
        assert gateway.ask("GET", "/", [CROSS]).status == 403
        assert gateway.ask("POST", "/report_asset_check/x").status == 400
        assert gateway.graphql(TERMINATE, {"runId": "none"}).status == 200
        gateway.logged(before, mutation="terminateRun", run="none", status=200)
        # The wait for its start asks by OPTIONS.
        lines = [line for line in gateway.logs()[before:] if line["rule"] != "method"]
        assert [line["status"] for line in lines] == [403, 400, 200]


def test_too_many_requests(upstream: Upstream) -> None:
    with web_gateway(upstream, WEB_RATE_LIMIT="20") as gateway:
        before = len(gateway.logs())
        statuses = {gateway.ask("GET", "/server_info").status for _ in range(25)}
        assert statuses == {200, 429}
        gateway.logged(before, rule="rate", status=429)


def test_a_webserver_that_is_away(upstream: Upstream) -> None:
    away = replace(upstream, webserver="127.0.0.1:9")
    with web_gateway(away) as gateway:
        page = gateway.ask("GET", "/runs")
        assert page.status == 503
        assert "Dagster is starting" in page.body
        assert page.headers["retry-after"] == "3"
        # The rules hold all the same, and the gateway is well.
        assert gateway.ask("GET", "/", [("Host", "evil.example")]).status == 421
        until(lambda: _healthy(gateway), seconds=30)


def _healthy(gateway: Gateway) -> None:
    command = ["docker", "inspect", "--format={{.State.Health.Status}}", gateway.container]
    status = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert status == "healthy"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEB_RATE_LIMIT", "many"),
        ("WEB_RATE_LIMIT", "0"),
        ("WEB_BODY_LIMIT_BYTES", "5m"),
        ("WEB_REQUEST_TIMEOUT_S", "-1"),
        ("WEB_LOG", "none"),
        ("WEB_HOSTS", "dagster.example.com https://dagster.example.com"),
        ("WEB_HOSTS", "*"),
    ],
)
def test_a_setting_that_does_not_hold(upstream: Upstream, name: str, value: str) -> None:
    done = subprocess.run(
        ["docker", "run", "--rm", f"--env={name}={value}", upstream.image],
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert done.stderr.startswith(f"error: {name} ")
    assert "Fix:" in done.stderr

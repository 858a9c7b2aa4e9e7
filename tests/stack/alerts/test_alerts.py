"""The profile alerts: people get one message for an incident, and one when it is over."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from harness import Stack, until
from runs import launch
from watchers import watching

SERVICES = ("alerts", "exporter", "prometheus")
RECEIVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer(("", 8000), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def alerted(stack: Stack) -> Iterator[Stack]:
    """The stack with the profile, and a receiver with a channel to it."""
    name = f"{stack.project}-receiver"
    secrets = ("run", "--rm", "--no-deps", "-T", "--entrypoint")
    with watching(stack, "alerts", *SERVICES, ALERTS_INTERVAL_S="2"):
        try:
            # A container of ours beside the stack, in the network to the outside.
            stack.run(
                *("docker", "run", "--detach", f"--name={name}", "--network-alias=receiver"),
                *(f"--network={stack.project}_outside", f"{stack.project}/alerts:live"),
                *("python", "-c", RECEIVER),
            )
            stack.compose(
                *(*secrets, "sh", "secrets", "-c"),
                "mkdir -p /secrets/alerts/stack && cd /secrets/alerts/stack"
                " && printf %s json://receiver:8000/marker-of-the-channel >hook && chmod 444 hook",
            )
            stack.compose("up", "--detach", "--no-deps", "--wait", *SERVICES, "web_gateway")
            yield stack
        finally:
            stack.run("docker", "rm", "--force", name, check=False)
            stack.compose(*secrets, "rm", "secrets", "-rf", "/secrets/alerts/stack")


def messages(stack: Stack, about: str) -> list[dict[str, str]]:
    """What arrived at the receiver, in order, with these words in its title."""
    lines = stack.run("docker", "logs", f"{stack.project}-receiver").splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [each for each in found if about in each["title"]]


def arrive(stack: Stack, about: str, count: int, seconds: float) -> list[dict[str, str]]:
    def check() -> list[dict[str, str]]:
        found = messages(stack, about)
        assert len(found) == count, found
        return found

    return until(check, seconds)


def test_each_channel_takes_a_test_message(alerted: Stack) -> None:
    assert "the stack: hook: taken" in alerted.run("make", "alert-test")


def test_a_failed_run_is_one_message_with_its_cause(alerted: Stack) -> None:
    for _ in range(2):
        config = {"ops": {"leave": {"config": {"code": 3}}}}
        launch(alerted, "scenarios", "leave_job", config).wait("FAILURE")
    [message] = arrive(alerted, "leave_job", 1, 60)
    assert message["title"] == "WARNING scenarios: leave_job failed"
    # What the run launcher says of the container's end.
    assert "leaving now" in message["message"]

    def counted() -> None:
        query = "SELECT count FROM alerts.incident WHERE job = 'leave_job'"
        assert alerted.sql(query, "dagster") == [["2"]]

    until(counted, 60)
    assert len(messages(alerted, "leave_job")) == 1
    assert "leave_job failed" in alerted.run("make", "status")


def test_a_dead_daemon_is_told_and_its_end_over_a_restart(alerted: Stack) -> None:
    alerted.compose("stop", "daemon")
    try:
        arrive(alerted, "The daemon has given no sign of life", 1, 120)
        alerted.compose("kill", "alerts")
        alerted.compose("up", "--detach", "--no-deps", "--wait", "alerts")
    finally:
        alerted.compose("up", "--detach", "--no-deps", "--wait", "daemon")
    found = arrive(alerted, "The daemon has given no sign of life", 2, 120)
    assert [each["title"].split()[0] for each in found] == ["CRITICAL", "OVER"]

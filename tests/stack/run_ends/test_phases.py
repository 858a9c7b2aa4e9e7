"""Killed in each phase of its life: made, starting, (running: test_run_ends), finishing."""

from __future__ import annotations

import json

import pytest

from harness import Stack, engine, until
from runs import ONCE, imports, launch


@pytest.mark.long
def test_the_daemon_was_killed_between_making_and_starting(stack: Stack) -> None:
    model = launch(stack, "scenarios", "tick_job")
    model.wait()
    stack.compose("kill", "daemon")
    try:
        run = launch(stack, "scenarios", "tick_job")
        run.wait("QUEUED")
        body = model.container["Config"] | {"HostConfig": model.container["HostConfig"]}
        body = json.loads(json.dumps(body).replace(model.id, run.id))
        name = f"{stack.project}-run-{run.id}"
        made = engine("POST", "/containers/create", params={"name": name}, json=body).json()["Id"]
        stack.sql(f"UPDATE runs SET status = 'STARTING' WHERE run_id = '{run.id}'", "dagster")
    finally:
        stack.compose("start", "daemon")
    run.wait()
    # It was created again: whoever had made it may not have come to join its networks.
    assert run.container["Id"] != made
    assert made not in stack.run_containers()
    networks = [set(each.container["NetworkSettings"]["Networks"]) for each in (model, run)]
    assert networks[0] == networks[1]
    assert len([e for e in run.events() if e["__typename"] == "RunStartEvent"]) == 1


@pytest.mark.long
def test_killed_while_it_starts(stack: Stack) -> None:
    run = launch(stack, "scenarios", "import_hangs_job", tags=ONCE)
    until(lambda: imports(run), seconds=60)
    stack.run("docker", "kill", run.tags["docker/container_id"])
    run.wait("FAILURE")
    assert "exit code 137" in run.text()
    assert "importing for ever" in run.text()


@pytest.mark.long
def test_killed_while_it_finishes(stack: Stack) -> None:
    """The run has succeeded by then, and stays so."""
    run = launch(stack, "scenarios", "lingering_job")
    run.wait()
    assert run.container["State"]["Running"]
    stack.run("docker", "kill", run.tags["docker/container_id"])
    # Whatever the daemon makes of that end it has made before that of a later one.
    later = launch(stack, "scenarios", "leave_job", {"ops": {"leave": {"config": {"code": 3}}}})
    later.wait("FAILURE")
    assert run.status == "SUCCESS"
    assert not [e for e in run.events() if e["__typename"] == "RunFailureEvent"]


@pytest.mark.parametrize("location", ["scenarios", pytest.param("ready", marks=pytest.mark.long)])
def test_a_run_that_takes_longer_than_its_tag_allows(stack: Stack, location: str) -> None:
    run = launch(stack, location, "hanging_job", tags={"dagster/max_runtime": "3"})
    run.wait("FAILURE")
    assert "timeout 3 s" in run.text()
    assert "Exceeded maximum runtime of 3 seconds" in run.text()

    def stopped() -> None:
        assert not run.container["State"]["Running"]

    until(stopped, seconds=30)
    assert run.status == "FAILURE"
    assert "RunCanceledEvent" not in [event["__typename"] for event in run.events()]
    assert run.tags["dagster/will_retry"] == "false"

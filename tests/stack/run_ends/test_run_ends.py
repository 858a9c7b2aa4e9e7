"""A run whose container ends is failed within seconds, and says why in one event."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from harness import Stack, until
from runs import ONCE, Begun, Run, launch

# The promise is 5 s; it is measured from Docker's own record of the end to the run's.
PROMISE_S = 5


def failure(run: Run) -> str:
    """The message of the run's one failure event."""
    failures = [e for e in run.events() if e["__typename"] == "RunFailureEvent"]
    assert len(failures) == 1, run.text()
    return str(failures[0]["message"])


def delay(run: Run) -> float:
    """Seconds between the end of the container and the end of the run."""
    finished = datetime.fromisoformat(run.container["State"]["FinishedAt"]).timestamp()
    return float(run.get()["endTime"]) - finished


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (137, ["SIGKILL", "exit code 137", "leaving now"]),
        pytest.param(3, ["exit code 3", "leaving now"], marks=pytest.mark.long),
        pytest.param(0, ["without finishing the run", "exit code 0"], marks=pytest.mark.long),
    ],
)
def test_a_process_that_just_ends(stack: Stack, code: int, words: list[str]) -> None:
    config = {"ops": {"leave": {"config": {"code": code}}}}
    run = launch(stack, "scenarios", "leave_job", config, tags=ONCE)
    run.wait("FAILURE")
    for word in [*words, "memory limit 512 MiB", "lived "]:
        assert word in failure(run)
    assert delay(run) < PROMISE_S


def decided(run: Run) -> None:
    """Raises AssertionError until it is decided that the run is not retried."""
    assert run.tags["dagster/will_retry"] == "false"


def test_more_memory_than_the_limit(stack: Stack) -> None:
    tags = {"docker/memory": "250m"}
    run = launch(stack, "scenarios", "eat_memory_job", tags=tags)
    run.wait("FAILURE")
    for word in ("more memory than its limit", "killed for memory: yes", "memory limit 250 MiB"):
        assert word in failure(run)
    assert delay(run) < PROMISE_S


def test_an_import_that_fails_in_the_container(stack: Stack) -> None:
    run = launch(stack, "scenarios", "import_fails_job")
    run.wait("FAILURE")
    assert "no flux capacitor in this container" in run.text()


@pytest.mark.long
def test_docker_kill(stack: Stack) -> None:
    run = launch(stack, "scenarios", "hanging_job", tags=ONCE)
    run.wait("STARTED")
    stack.run("docker", "kill", run.tags["docker/container_id"])
    run.wait("FAILURE")
    assert "docker kill" in failure(run)
    assert delay(run) < PROMISE_S


@pytest.mark.long
def test_an_end_while_the_daemon_was_away(stack: Stack) -> None:
    run = launch(stack, "scenarios", "hanging_job", tags=ONCE)
    run.wait("STARTED")
    stack.compose("stop", "daemon")
    stack.run("docker", "kill", run.tags["docker/container_id"])
    assert run.status == "STARTED"
    stack.compose("start", "daemon")
    run.wait("FAILURE")
    assert "exit code 137" in failure(run)


@pytest.mark.long
def test_a_container_that_was_removed_while_the_daemon_was_away(stack: Stack) -> None:
    run = launch(stack, "scenarios", "hanging_job", tags=ONCE)
    run.wait("STARTED")
    stack.compose("stop", "daemon")
    stack.run("docker", "rm", "--force", run.tags["docker/container_id"])
    stack.compose("start", "daemon")
    run.wait("FAILURE")
    assert "container was removed" in failure(run)


def test_a_container_that_outlives_its_run_is_stopped(stack: Stack) -> None:
    run = launch(stack, "scenarios", "hanging_job")
    run.wait("STARTED")
    answer = stack.ask(
        """mutation Force($id: String!) {
          terminateRun(runId: $id, terminatePolicy: MARK_AS_CANCELED_IMMEDIATELY) { __typename }
        }""",
        id=run.id,
    )
    assert answer["terminateRun"]["__typename"] == "TerminateRunSuccess"
    run.wait("CANCELED")

    def stopped() -> None:
        assert not run.container["State"]["Running"]

    until(stopped, seconds=60)


def test_a_tag_that_is_no_limit_is_refused_by_name(stack: Stack) -> None:
    """Each tag's own words: compose_run_launcher's tests of limits."""
    run = launch(stack, "scenarios", "tick_job", tags={"docker/memory": "much"})
    run.wait("FAILURE")
    for word in ("tag docker/memory", "'much'", "512m or 2g"):
        assert word in failure(run)
    assert "docker/container_id" not in run.tags
    # What cannot be launched ever is not tried again.
    until(lambda: decided(run), seconds=30)


def test_limits_are_shown_and_hold(stack: Stack) -> None:
    tags = {"docker/memory": "300m", "docker/cpus": "0.5"}
    run = launch(stack, "scenarios", "tick_job", tags=tags)
    run.wait()
    assert "memory 300 MiB, CPUs 0.5" in run.text()
    host = run.container["HostConfig"]
    assert (host["Memory"], host["NanoCpus"]) == (300 * 2**20, 500_000_000)
    # Under pressure a run gives way before a server.
    service = stack.inspect(stack.container("webserver"))["HostConfig"]
    assert host["CpuShares"] < (service["CpuShares"] or 1024)
    assert host["OomScoreAdj"] > service["OomScoreAdj"]


@pytest.mark.long
def test_a_missing_image_is_named(stack: Stack) -> None:
    """The image of a waiting run is deleted."""
    stack.compose("stop", "daemon")
    run = launch(stack, "scenarios", "tick_job")
    status = json.loads(stack.run("deploy/stackctl/status", "--json"))
    name = next(found["image"] for found in status["locations"] if found["name"] == "scenarios")
    try:
        for service in ("scenarios", "ready", "analytics"):
            stack.compose("stop", service)
        stack.run("docker", "rmi", name)
        stack.compose("start", "daemon")
        run.wait("FAILURE")
        assert name in failure(run)
        assert "Launch the job again" in failure(run)
    finally:
        stack.compose("up", "--detach", "--wait")


@pytest.mark.late
def test_ended_containers_go_and_others_stay(stack: Stack, begun: Begun) -> None:
    def gone() -> None:
        assert begun.succeeded.tags["docker/container_id"] not in stack.run_containers()

    # A minute after its end: over by now, but where these tests run alone.
    until(gone, seconds=120)
    # A failure is kept longer, for people to look into.
    assert begun.failed.tags["docker/container_id"] in stack.run_containers()
    assert stack.run("docker", "ps", "-aq", "--no-trunc", "--filter", f"id={begun.foreign}")


@pytest.mark.late
def test_its_own_fault_is_not_retried(begun: Begun) -> None:
    begun.failed.wait("FAILURE")
    until(lambda: decided(begun.failed), seconds=30)


@pytest.mark.late
def test_a_start_that_takes_too_long_is_stopped_and_explained(begun: Begun) -> None:
    run = begun.never_starts
    run.wait("FAILURE", seconds=180)
    assert "importing for ever" in run.text()

    def stopped() -> None:
        assert not run.container["State"]["Running"]

    # The run's own start has been declared dead, so it must never begin.
    until(stopped, seconds=90)
    assert not [e for e in run.events() if e["__typename"] == "RunStartEvent"]

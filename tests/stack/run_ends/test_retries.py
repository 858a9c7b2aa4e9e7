"""A run whose worker vanished is retried; one that ended by its own fault is not."""

from __future__ import annotations

import pytest

from harness import Stack, until
from runs import Run, launch, runs_of


def vanish(stack: Stack, run: Run) -> None:
    """Its container is killed by somebody outside."""
    run.wait("STARTED")
    stack.run("docker", "kill", run.tags["docker/container_id"])
    run.wait("FAILURE")


def retry_of(stack: Stack, run: Run) -> Run:
    """The run that Dagster launches in its place."""

    def launched() -> Run:
        retries = [r for r in runs_of(stack, "vanishing_job") if r.parent == run.id]
        assert len(retries) == 1
        return retries[0]

    return until(launched, seconds=60)


def test_a_run_that_vanished_is_retried_after_its_end(stack: Stack) -> None:
    config = {"ops": {"hang_at_first": {"config": {"attempts_that_hang": 1}}}}
    run = launch(stack, "scenarios", "vanishing_job", config)
    vanish(stack, run)
    retry = retry_of(stack, run)
    retry.wait("SUCCESS")
    assert retry.get()["startTime"] > run.get()["endTime"]
    assert retry.tags["docker/container_id"] != run.tags["docker/container_id"]


@pytest.mark.long
def test_one_that_vanishes_again_and_again_comes_through(stack: Stack) -> None:
    config = {"ops": {"hang_at_first": {"config": {"attempts_that_hang": 3}}}}
    run = launch(stack, "scenarios", "vanishing_job", config)
    for _ in range(3):
        vanish(stack, run)
        run = retry_of(stack, run)
    run.wait("SUCCESS")

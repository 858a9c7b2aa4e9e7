"""A run that hangs is ended from outside."""

from __future__ import annotations

from harness import Stack, until
from runs import launch


def test_terminate_ends_run_and_container(stack: Stack) -> None:
    run = launch(stack, "scenarios", "hanging_job")

    def hangs() -> None:
        assert "hanging" in run.text()

    until(hangs, seconds=60)
    assert run.container["State"]["Running"]
    run.terminate()
    run.wait("CANCELED", seconds=45)

    def stopped() -> None:
        assert not run.container["State"]["Running"]

    until(stopped, seconds=15)


def test_a_run_that_waits_in_the_queue_is_canceled_without_a_container(stack: Stack) -> None:
    stack.compose("stop", "daemon")
    try:
        run = launch(stack, "scenarios", "hanging_job")
        run.wait("QUEUED")
        run.terminate()
        run.wait("CANCELED", seconds=30)
        assert "docker/container_id" not in run.tags
    finally:
        stack.compose("start", "daemon")

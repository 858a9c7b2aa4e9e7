"""Two stacks on one engine, one's name the beginning of the other's, never touch each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness import Stack, until
from runs import launch
from standby_pool import handed_over, pool, pool_is_full


@pytest.fixture
def other(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A second stack, from a folder of its own."""
    other = Stack(tmp_path_factory.mktemp("other"), project=f"{stack.project}-run")
    other.copy_project()
    settings = other.folder / "dagster.yaml"
    # It cleans up at once what is its own.
    settings.write_text(
        settings.read_text().replace("keep_succeeded_seconds: 300", "keep_succeeded_seconds: 1")
    )
    try:
        other.run("make", "up")
        yield other
    finally:
        other.run("make", "down", check=False)
        other.compose("down", "--volumes", "--rmi", "local", check=False)


@pytest.mark.long
def test_runs_workers_and_cleaning_stay_apart(stack: Stack, other: Stack) -> None:
    mine, theirs = pool_is_full(stack), pool_is_full(other)
    assert not set(mine) & set(theirs)
    hanging = launch(stack, "ready", "hanging_job")
    hanging.wait("STARTED")
    done = launch(stack, "ready", "tick_job")
    done.wait()
    run = launch(other, "ready", "tick_job")
    run.wait()
    assert handed_over(run)
    id = run.tags["docker/container_id"]
    assert id in theirs

    def cleaned() -> None:
        assert id not in other.run_containers()

    until(cleaned, seconds=30)
    assert done.container["State"]["Status"] == "exited"

    # A daemon that comes back removes the workers of the one before it, and no others.
    before = pool_is_full(stack)
    other.compose("kill", "daemon")
    other.compose("start", "daemon")

    def replaced() -> None:
        assert set(pool(other, "ready")).isdisjoint(theirs)
        assert len(pool(other, "ready")) == 2

    until(replaced, seconds=90)
    assert set(before) <= set(pool(stack, "ready"))

    other.run("make", "down")
    assert other.run_containers() == []
    assert hanging.status == "STARTED"
    assert hanging.container["State"]["Running"]
    assert set(before) <= set(pool(stack, "ready"))
    hanging.terminate()
    hanging.wait("CANCELED")

"""Whatever happens to a worker, its run is neither lost nor run twice.

In `make test` the kills of everything at random (chaos) stand for most of these.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness import Stack, until
from runs import Run, launch
from standby_pool import handed_over, pool, pool_is_full


def ran_once(run: Run) -> None:
    """It succeeded, and only one container ever began with it."""
    run.wait("SUCCESS", seconds=120)
    starts = [e for e in run.events() if e["__typename"] == "RunStartEvent"]
    assert len(starts) == 1, run.text()
    named = [c for c in stack_names(run.stack) if run.id in c]
    assert len(named) == 1, named


def stack_names(stack: Stack) -> list[str]:
    """Names of all run containers."""
    label = f"label=compose_run_launcher.project={stack.project}"
    shown = stack.run("docker", "ps", "-a", "--filter", label, "--format", "{{.Names}}")
    return shown.split()


def test_workers_that_were_killed_while_they_waited(stack: Stack) -> None:
    for worker in pool_is_full(stack):
        stack.run("docker", "kill", worker)
    ran_once(launch(stack, "ready", "tick_job"))


@pytest.mark.long
def test_workers_that_were_removed_while_they_waited(stack: Stack) -> None:
    for worker in pool_is_full(stack):
        stack.run("docker", "rm", "--force", worker)
    ran_once(launch(stack, "ready", "tick_job"))


@pytest.mark.long
def test_a_worker_that_does_not_begin(stack: Stack) -> None:
    """It takes the run and stays silent, as on a host that starves it."""
    stopped = pool_is_full(stack)
    for worker in stopped:
        stack.run("docker", "kill", "--signal=STOP", worker)
    run = launch(stack, "ready", "tick_job")
    ran_once(run)
    assert run.tags["docker/container_id"] not in stopped
    assert handed_over(run), "it was never given to one of them"


@pytest.mark.long
def test_a_worker_that_is_frozen(stack: Stack) -> None:
    """The engine thaws it as it ends it; then it may or may not come to its run."""
    for worker in pool_is_full(stack):
        stack.run("docker", "pause", worker)
    ran_once(launch(stack, "ready", "tick_job"))


@pytest.mark.long
def test_the_database_was_restarted_while_they_waited(stack: Stack) -> None:
    before = pool_is_full(stack)
    # The webserver answers with an error once for each connection that it kept.
    stack.compose("restart", "postgres", "webserver")
    stack.compose("up", "--detach", "--wait")
    used = []
    for _ in before:
        run = launch(stack, "ready", "tick_job")
        ran_once(run)
        used.append(run.container["Id"])
    # One may be given up as too slow to begin, right after the restart; not each of them.
    assert set(used) & set(before)


@pytest.fixture
def killed_daemon(stack: Stack) -> Iterator[None]:
    """The daemon ended without a word; it comes back at the end at the latest."""
    pool_is_full(stack)
    stack.compose("kill", "daemon")
    yield
    stack.compose("start", "daemon")


@pytest.mark.usefixtures("killed_daemon")
@pytest.mark.long
def test_the_daemon_ended_before_it_chose_a_worker(stack: Stack) -> None:
    run = launch(stack, "ready", "tick_job")
    starting(stack, run)
    stack.compose("start", "daemon")
    ran_once(run)


@pytest.mark.usefixtures("killed_daemon")
@pytest.mark.long
def test_the_daemon_ended_before_it_woke_the_worker(stack: Stack) -> None:
    run, worker = claimed(stack)
    stack.compose("start", "daemon")
    ran_once(run)
    assert run.container["Id"] == worker


@pytest.mark.usefixtures("killed_daemon")
@pytest.mark.long
def test_the_worker_ended_with_the_daemon(stack: Stack) -> None:
    run, worker = claimed(stack)
    stack.run("docker", "kill", worker)
    stack.compose("start", "daemon")
    ran_once(run)
    assert not handed_over(run)


@pytest.mark.usefixtures("killed_daemon")
@pytest.mark.long
def test_workers_of_a_daemon_that_is_gone_are_replaced(stack: Stack) -> None:
    former = pool_is_full(stack)
    stack.compose("start", "daemon")

    def replaced() -> None:
        ready = pool(stack, "ready")
        assert len(ready) == 2
        assert not set(ready) & set(former)

    until(replaced, seconds=90)


def starting(stack: Stack, run: Run) -> None:
    """What the daemon writes as it takes a run from the queue, before anything else."""
    run.wait("QUEUED")
    stack.sql(f"UPDATE runs SET status = 'STARTING' WHERE run_id = '{run.id}'", "dagster")


def claimed(stack: Stack) -> tuple[Run, str]:
    """A run, and the worker that the daemon has renamed for it without coming to wake it."""
    run = launch(stack, "ready", "tick_job")
    worker = pool_is_full(stack)[0]
    starting(stack, run)
    stack.run("docker", "rename", worker, f"{stack.project}-run-{run.id}")
    return run, worker


@pytest.mark.long
def test_a_service_with_other_settings_gets_other_workers(stack: Stack) -> None:
    """A worker that was copied from the former container is never used again."""
    former = pool_is_full(stack)
    compose = stack.folder / stack.additions
    original = compose.read_text()
    try:
        compose.write_text(original.replace('standby_workers: "2"', 'standby_workers: "1"'))
        stack.compose("up", "--detach", "--wait", "--no-deps", "ready")
        run = launch(stack, "ready", "tick_job")
        ran_once(run)
        assert run.tags["docker/container_id"] not in former
        assert not set(pool_is_full(stack, size=1)) & set(former)
    finally:
        compose.write_text(original)
        stack.compose("up", "--detach", "--wait", "--no-deps", "ready")
    assert not set(pool_is_full(stack)) & set(former)


@pytest.fixture
def no_memory(stack: Stack) -> Iterator[None]:
    """As far as the pool can tell, the host has too little memory."""
    with stack.instance_settings({"standby_min_free_percent: 10": "standby_min_free_percent: 99"}):
        yield


@pytest.mark.usefixtures("no_memory")
@pytest.mark.long
def test_short_memory(stack: Stack) -> None:
    assert pool(stack, "ready") == []
    run = launch(stack, "ready", "tick_job")
    ran_once(run)
    assert not handed_over(run)
    assert pool(stack, "ready") == []


@pytest.mark.long
def test_a_plain_down_leaves_nothing_behind(stack: Stack) -> None:
    pool_is_full(stack)
    stack.compose("down")
    assert not [name for name in stack_names(stack) if "-standby-" in name]
    networks = stack.run("docker", "network", "ls", "--format", "{{.Name}}").split()
    assert not [name for name in networks if name.startswith(f"{stack.project}_")]
    stack.compose("up", "--detach", "--wait")
    pool_is_full(stack)

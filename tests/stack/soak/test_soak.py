"""What only shows after many times. `make test` runs a short form, `make soak` the full one."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from harness import FINAL, FULL, Stack, until
from runs import ONCE, Run, launch
from standby_pool import handed_over, pool_is_full

KILLS = 30 if FULL else 3
LAUNCHES = 1000 if FULL else 40
# What a launch may leave in the daemon: nothing. Pools of sockets and threads fill up at first.
WARM_UP = 100 if FULL else 20
MOST_FURTHER_FILES = 10
LONG_RUN_S = 3600
RESTART_EVERY_S = 300
MOST_FURTHER_MEMORY_MIB = 25


def say(text: str) -> None:
    """Progress for whoever waits."""
    print(text, file=sys.stderr, flush=True)


@pytest.mark.long
def test_the_daemon_is_killed_again_and_again(stack: Stack) -> None:
    """Every run ends once, in success; none runs twice, none is stuck."""
    pool_is_full(stack)
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    say(f"{KILLS} kills of the daemon, seed {seed}")
    runs: list[Run] = []
    for number in range(KILLS):
        handing_over = number % 2 == 0
        if handing_over:
            pool_is_full(stack)
        for location in ("ready", "ready" if handing_over else "scenarios"):
            # A run whose worker nobody kills has nothing to be retried for.
            runs.append(launch(stack, location, "tick_job", tags=ONCE))
        # A handover takes half a second from the click on, a cold launch some more.
        time.sleep(chance.uniform(0, 0.6 if handing_over else 4))
        stack.compose("kill", "daemon")
        stack.compose("start", "daemon")
        say(f"kill {number + 1}: {sum(run.status in FINAL for run in runs)} of {len(runs)} over")
    for run in runs:
        run.wait("SUCCESS", seconds=300)
        names = [event["__typename"] for event in run.events()]
        for once in ("RunStartEvent", "ExecutionStepStartEvent", "RunSuccessEvent"):
            assert names.count(once) == 1, run.text()
    say(f"{len(runs)} runs, {sum(map(handed_over, runs))} of them by standby workers")


@dataclass(frozen=True)
class Daemon:
    """What its process holds."""

    files: int
    threads: int
    memory_mib: float

    @classmethod
    def now(cls, stack: Stack) -> Daemon:
        """As /proc says."""
        # The one child of the container's init.
        script = (
            "p=$(cat /proc/1/task/1/children); p=${p%% *}; ls /proc/$p/fd | wc -l;"
            " awk '/^(VmRSS|Threads)/ {print $2}' /proc/$p/status"
        )
        files, memory, threads = stack.compose("exec", "-T", "daemon", "sh", "-c", script).split()
        return cls(int(files), int(threads), int(memory) / 1024)


def launch_all(stack: Stack, count: int) -> None:
    """Of ten runs one goes to a standby worker, one starts cold, and eight die at their start.

    The latter cost the launcher as much as any, and more: it explains each.
    """
    runs: list[tuple[Run, str]] = []
    for number in range(count):
        kind = number % 10
        job, end = ("tick_job", "SUCCESS") if kind < 2 else ("stillborn_job", "FAILURE")
        runs.append((launch(stack, "ready" if kind == 0 else "scenarios", job), end))
        if number >= 20:
            run, end = runs[number - 20]
            run.wait(end, seconds=300)
        if number % 50 == 49:
            say(f"{number + 1} launched: {Daemon.now(stack)}")
    for run, end in runs[-20:]:
        run.wait(end, seconds=300)


@pytest.fixture
def short_grace(stack: Stack) -> Iterator[None]:
    """Containers go soon, so that the daemon does not look at hundreds of them at the end."""
    changes = {
        "keep_succeeded_seconds: 300": "keep_succeeded_seconds: 10",
        "keep_failed_seconds: 86400": "keep_failed_seconds: 10",
    }
    with stack.instance_settings(changes):
        yield


@pytest.mark.usefixtures("short_grace")
@pytest.mark.long
def test_launches_leave_nothing_in_the_daemon(stack: Stack) -> None:
    launch_all(stack, WARM_UP)
    before = Daemon.now(stack)
    launch_all(stack, LAUNCHES)

    def settled() -> None:
        after = Daemon.now(stack)
        say(f"before {before}, after {LAUNCHES} launches {after}")
        assert after.files <= before.files + MOST_FURTHER_FILES
        assert after.threads <= before.threads + MOST_FURTHER_FILES
        assert after.memory_mib <= before.memory_mib + MOST_FURTHER_MEMORY_MIB

    until(settled, seconds=60, every=5)


@pytest.mark.long
def test_a_run_of_an_hour_does_not_notice_restarts_of_the_database(stack: Stack) -> None:
    config = {"ops": {"mark_time": {"config": {"seconds": LONG_RUN_S}}}}
    run = launch(stack, "scenarios", "mark_time_job", config, tags=ONCE)
    run.wait("STARTED")
    ends = time.monotonic() + LONG_RUN_S
    restarts = 0
    while (left := ends - time.monotonic()) > RESTART_EVERY_S:
        time.sleep(min(left, RESTART_EVERY_S))
        # By turns as people restart it, and as it crashes.
        stack.compose(*(("restart",) if restarts % 2 else ("kill",)), "postgres")
        stack.compose("start", "postgres")
        restarts += 1
        say(f"restart {restarts}, {left / 60:.0f} minutes left")
    run.wait("SUCCESS", seconds=RESTART_EVERY_S + 120)
    [[said, different]] = stack.sql(
        "SELECT count(*), count(DISTINCT event::json ->> 'user_message') FROM event_logs"
        f" WHERE run_id = '{run.id}' AND event::json ->> 'user_message' LIKE 'second %'",
        "dagster",
    )
    assert restarts >= LONG_RUN_S // RESTART_EVERY_S - 1
    assert (int(said), int(different)) == (LONG_RUN_S, LONG_RUN_S)

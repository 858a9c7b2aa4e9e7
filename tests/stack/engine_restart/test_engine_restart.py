"""Docker Engine restarts while runs are under way, as in an upgrade or a reboot."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from harness import REPOSITORY, Stack, until
from releases import begin, deploy, live, of_elt, put_back, write_release
from runs import Run, launch, runs_of
from standby_pool import handed_over, pool_is_full

pytestmark = pytest.mark.skipif(
    not (os.environ.get("CI") or os.environ.get("RESTART_ENGINE")),
    reason="restarts this machine's Docker Engine, others' containers too;"
    " enable it by RESTART_ENGINE=1 tests/run stack",
)

_PID_FILE = Path("/var/run/docker.pid")


def restart_engine() -> None:
    """As the machine does it."""
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "restart", "docker"], check=True)
        return
    pid = int(_PID_FILE.read_text())
    os.kill(pid, signal.SIGTERM)

    def ended() -> None:
        state = Path(f"/proc/{pid}/stat")
        assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"

    until(ended, seconds=120)
    # A session of its own, or the engine would end with the tests.
    subprocess.run([REPOSITORY / ".ci/engine"], check=True, start_new_session=True)


def retries_of(stack: Stack, run: Run) -> list[Run]:
    """Runs that Dagster launched in its place."""
    return [retry for retry in runs_of(stack, "vanishing_job") if retry.parent == run.id]


def test_each_run_is_retried_once_and_the_stack_comes_back_by_itself(stack: Stack) -> None:
    pool_is_full(stack)
    config = {"ops": {"hang_at_first": {"config": {"attempts_that_hang": 1}}}}
    runs = [launch(stack, location, "vanishing_job", config) for location in ("scenarios", "ready")]
    for run in runs:
        run.wait("STARTED")
    assert [handed_over(run) for run in runs] == [False, True]
    restart_engine()

    def serves() -> None:
        assert stack.ask("{ version }")["version"]

    until(serves, seconds=120)
    for run in runs:
        run.wait("FAILURE", seconds=120)

        def retried(run: Run = run) -> None:
            assert [retry.status for retry in retries_of(stack, run)] == ["SUCCESS"]

        until(retried, seconds=120)
        failures = [e for e in run.events() if e["__typename"] == "RunFailureEvent"]
        assert len(failures) == 1, run.text()
    pool_is_full(stack)
    later = launch(stack, "ready", "tick_job")
    later.wait()
    assert handed_over(later)


@pytest.mark.long
def test_a_deployment_is_under_way(stack: Stack) -> None:
    with put_back(stack):
        former = live(stack)
        write_release(stack, "before the restart")
        deployment = begin(stack, "deploy", "elt")
        for line in deployment.stdout or ():
            if "Starting the release" in line:
                break
        restart_engine()
        said, _ = deployment.communicate()
        assert deployment.returncode == 1, said
        assert "Traceback" not in said

        def serves() -> None:
            launch(stack, "elt", "__ASSET_JOB", assets=["products_table"])

        until(serves, seconds=120)
        assert live(stack) == former
        assert deploy(stack, "--wait=60")["former"] == former
        assert of_elt(stack) == [stack.container("elt")]

"""A location's step logs are its own, and the webserver reads nothing but logs."""

from __future__ import annotations

import copy
import subprocess
import time
import uuid
from collections.abc import Iterator

import httpx
import pytest

from docker_gateway_caller import VERSION, caller, copy_of
from harness import QUIET, Stack, until
from runs import ONCE, Run, launch

LOGS = "/var/lib/dagster/compute_logs"
SECRET = "/run/secrets/dagster_password"

# Puts now a log and now a link to the webserver's secret in the place of a step's log.
_SWAP = """
import os, sys
path, target = sys.argv[1:]
print("swapping", flush=True)
while True:
    with open(path + ".new", "w") as file:
        file.write("a log")
    os.rename(path + ".new", path)
    os.symlink(target, path + ".link")
    os.rename(path + ".link", path)
"""


@pytest.fixture(scope="module")
def run(stack: Stack) -> Run:
    """One that has written a log."""
    run = launch(stack, "scenarios", "tick_job")
    run.wait()
    return run


def key(run: Run) -> str:
    """The name of its one step's log."""
    [found] = [event["fileKey"] for event in run.events() if event.get("fileKey")]
    return str(found)


def download(run: Run, path: str) -> httpx.Response:
    """What the UI's link to a log gives."""
    return httpx.get(f"{run.stack.url}/logs/{path}", timeout=30, verify=False)


def test_the_ui_shows_a_runs_log(run: Run) -> None:
    assert run.stdout() == f"hello from run {run.id}\n"
    answer = download(run, f"{run.id}/compute_logs/{key(run)}/out")
    assert answer.status_code == 200
    assert answer.text == f"hello from run {run.id}\n"
    assert "attachment" in answer.headers["content-disposition"]


def test_no_other_location_sees_it_or_stands_in_for_it(stack: Stack, run: Run) -> None:
    path = f"{LOGS}/{run.id}/compute_logs/{key(run)}.out"
    stack.compose("exec", "-T", "scenarios", "test", "-s", path)
    seen = stack.compose("exec", "-T", "elt", "ls", "-R", LOGS)
    assert run.id not in seen
    assert "scenarios" not in seen
    forge = f"mkdir -p $(dirname {path}) && echo forged >{path}"
    stack.compose("exec", "-T", "elt", "sh", "-c", forge)
    assert run.stdout() == f"hello from run {run.id}\n"
    mine = run.container["HostConfig"]["Mounts"]
    assert {"Subpath": "scenarios"} in [mount.get("VolumeOptions") for mount in mine]


@pytest.fixture
def swapping(stack: Stack, run: Run) -> Iterator[Run]:
    """A run whose location puts links in the place of its log, over and over."""
    victim = launch(stack, "scenarios", "tick_job")
    victim.wait()
    path = f"{LOGS}/{victim.id}/compute_logs/{key(victim)}.out"
    command = ["docker", "compose", "exec", "-T", "scenarios", "timeout", "30", "python", "-c"]
    with subprocess.Popen(
        [*command, _SWAP, path, SECRET],
        cwd=stack.folder,
        env=stack.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as swap:
        assert swap.stdout and swap.stdout.readline() == "swapping\n"
        yield victim
        # What it does inside ends by its timeout.
        swap.terminate()


def test_a_link_in_its_place_shows_no_secret(stack: Stack, swapping: Run) -> None:
    password = stack.compose("exec", "-T", "webserver", "cat", SECRET)
    path = f"{swapping.id}/compute_logs/{key(swapping)}/out"
    shown: set[str] = set()
    over = time.monotonic() + 8
    while time.monotonic() < over:
        answer = download(swapping, path)
        assert password not in answer.text
        shown.add(answer.text if answer.status_code == 200 else str(answer.status_code))
        text = swapping.stdout()
        assert password not in text
        shown.add(text)
    # It was there at times, and at times a link was.
    assert shown == {"a log", "404", ""}


@pytest.mark.parametrize(
    "path",
    [
        "..%2f..%2f..%2frun%2fsecrets/dagster_password/out",
        "%2e%2e/%2e%2e/run/secrets/dagster_password/out",
        "x/compute_logs//out",
        "x/compute_logs/y/complete",
        "out",
    ],
)
def test_a_path_that_is_no_logs(run: Run, path: str) -> None:
    assert download(run, path).status_code in {400, 403, 404}


@pytest.mark.parametrize("service", ["webserver", "daemon"])
def test_the_control_plane_cannot_write(stack: Stack, service: str) -> None:
    said = stack.compose("exec", "-T", service, "touch", f"{LOGS}/x", check=False)
    assert "Read-only file system" in said


def test_the_gateway_lets_no_run_have_another_folder(stack: Stack) -> None:
    id = str(uuid.uuid4())
    body = copy_of(stack, "elt", id)
    target = f"{VERSION}/containers/create?name={stack.project}-run-{id}"
    with caller(stack, "daemon") as daemon:
        for options in (None, {}, {"Subpath": "analytics"}, {"Subpath": "elt/.."}):
            changed = copy.deepcopy(body)
            [mount] = [one for one in changed["HostConfig"]["Mounts"] if one["Target"] == LOGS]
            mount["VolumeOptions"] = options
            refused = daemon.ask("POST", target, changed)
            assert refused.status == 403, (options, refused)
        made = daemon.ask("POST", target, body)
        assert made.status == 201, made
        found = stack.inspect(f"{stack.project}-run-{id}")["Id"]
        assert daemon.ask("DELETE", f"{VERSION}/containers/{found}?force=True").status == 204


@pytest.mark.skipif(QUIET, reason="this stack has no location `ready`")
def test_a_location_that_fills_the_disk_runs_nothing_and_others_do(stack: Stack) -> None:
    run = launch(stack, "ready", "flood_job", tags=ONCE)
    try:
        run.wait("CANCELED", seconds=60)
        assert "The step logs of code location ready take 0.1 GB, more than the 0.05" in run.text()
        refused = launch(stack, "ready", "tick_job", tags=ONCE)
        refused.wait("FAILURE")
        assert "STEP_LOGS_LIMIT_GB. Fix: delete old ones" in refused.text()
        launch(stack, "scenarios", "tick_job").wait()
    finally:
        # As docs/locations.md says, whatever their age.
        options = ("-mindepth", "1", "-maxdepth", "1", "-exec", "rm", "-r", "{}", "+")
        stack.compose("exec", "-T", "ready", "find", LOGS, *options)

    def runs_again() -> None:
        assert launch(stack, "ready", "tick_job").wait("SUCCESS", "FAILURE")["status"] == "SUCCESS"

    until(runs_again, seconds=60, every=2)

"""Releases of elt, shipped as a team does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness import Stack

_ADDED = "code_locations/elt/src/elt/defs/shipped.py"
_STACKCTL = "deploy/stackctl/stackctl"

REFUSED, ROLLED_BACK, LOCKED, INTERRUPTED = 3, 4, 5, 130

JOB = '''
import dagster as dg


@dg.op
def say_release() -> None:
    """Which code this is."""
    print("release {marker}", flush=True)


@dg.job
def release_job() -> None:
    """Tells releases apart."""
    say_release()


minutely_schedule = dg.ScheduleDefinition(
    name="minutely_schedule",
    job=release_job,
    cron_schedule="* * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
'''


@dataclass(frozen=True)
class Said:
    """How a command ended, and all that it printed."""

    code: int
    text: str


def write(stack: Stack, code: str) -> None:
    """Add a file to elt's definitions, or change it."""
    (stack.folder / _ADDED).write_text(code)


def write_release(stack: Stack, marker: str) -> None:
    """A job whose runs tell the release."""
    write(stack, JOB.format(marker=marker))


def original(stack: Stack) -> None:
    """Make elt what the project says, if an earlier test has shipped something else."""
    if (stack.folder / _ADDED).exists():
        (stack.folder / _ADDED).unlink()
        deploy(stack, "--wait=60")


@contextmanager
def put_back(stack: Stack) -> Iterator[None]:
    """Afterwards elt's files, and what serves, are as before."""
    try:
        yield
    finally:
        original(stack)


def stackctl(stack: Stack, *arguments: str) -> Said:
    """Run the command to its end."""
    process = begin(stack, *arguments)
    text, _ = process.communicate()
    return Said(process.returncode, text)


def begin(stack: Stack, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """Start the command, in a process group of its own."""
    return subprocess.Popen(
        [_STACKCTL, *arguments],
        cwd=stack.folder,
        env=stack.environment,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[str], how: signal.Signals) -> str:
    """Send a signal to the command as a terminal would, to all of it; what it had printed."""
    os.killpg(process.pid, how)
    return process.communicate()[0]


def deploy(stack: Stack, *arguments: str) -> dict[str, Any]:
    """Ship elt; what the command says for machines."""
    done = subprocess.run(
        [_STACKCTL, "deploy", "elt", "--json", *arguments],
        cwd=stack.folder,
        env=stack.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


def listed(stack: Stack) -> list[dict[str, Any]]:
    """`stackctl releases elt`."""
    done = subprocess.run(
        [_STACKCTL, "releases", "elt", "--json"],
        cwd=stack.folder,
        env=stack.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def live(stack: Stack) -> str:
    """The release that `stackctl releases` calls live."""
    [found] = [one["release"] for one in listed(stack) if one["live"]]
    return str(found)


def containers(stack: Stack) -> dict[str, str]:
    """Ids of all service containers that run, by name; of those that stay, that is.

    landing_zone runs elt's image for a moment whenever that is a new one.
    """
    return {
        each["Name"].removeprefix("/"): each["Id"]
        for service, each in stack.containers()
        if each["State"]["Running"] and service != "landing_zone"
    }


def of_elt(stack: Stack) -> list[str]:
    """Ids of all of elt's containers, candidates and stopped ones too."""
    label = f"label=com.docker.compose.project={stack.project}"
    service = "label=com.docker.compose.service=elt"
    listed = stack.run("docker", "ps", "-aq", "--no-trunc", "--filter", label, "--filter", service)
    return listed.split()

"""Deployments that do not get to their end, and two at once."""

from __future__ import annotations

import signal
import subprocess

import pytest

from harness import FULL, Stack, until
from releases import (
    INTERRUPTED,
    LOCKED,
    ROLLED_BACK,
    begin,
    deploy,
    kill,
    live,
    of_elt,
    stackctl,
    write,
    write_release,
)
from runs import launch

_DIES_WHEN_LIVE = '''
import os
import socket
import threading
import time

import dagster as dg


def addresses(name: str) -> set[str]:
    return {address[4][0] for address in socket.getaddrinfo(name, None)}


def die_when_live() -> None:
    # Its own addresses are asked for each time: it may get others with the service's name.
    while not addresses(socket.gethostname()) & addresses("elt"):
        time.sleep(0.05)
    os._exit(3)


if os.environ.get("DAGSTER_RUN_JOB_NAME") is None:
    threading.Thread(target=die_when_live, daemon=True).start()


@dg.op
def nothing() -> None:
    """Nothing."""


@dg.job
def short_lived_job() -> None:
    """Never runs."""
    nothing()
'''

_STEPS = ("Building", "Starting the release", "Gate", "Switching", "Verifying")
_SOME = [("Switching", signal.SIGKILL)]
_ALL = [(step, how) for how in (signal.SIGKILL, signal.SIGINT) for step in _STEPS]
INTERRUPTIONS = _ALL if FULL else _SOME


def serves(stack: Stack) -> None:
    """Some release of elt serves, and its runs run."""
    launch(stack, "elt", "__ASSET_JOB", assets=["products_table"]).wait()


def one_container(stack: Stack) -> None:
    assert of_elt(stack) == [stack.container("elt")]


def test_a_release_that_dies_once_it_is_live_is_rolled_back(stack: Stack) -> None:
    former = live(stack)
    write(stack, _DIES_WHEN_LIVE)
    said = stackctl(stack, "deploy", "elt")
    assert said.code == ROLLED_BACK, said.text
    assert "rolled back, the former release serves again" in said.text
    assert live(stack) == former
    one_container(stack)
    serves(stack)
    # Compose agrees: there is nothing for it to do.
    before = stack.container("elt")
    stack.compose("up", "--detach", "--wait", "elt")
    assert stack.container("elt") == before


def begin_until(stack: Stack, step: str) -> subprocess.Popen[str]:
    """A deployment that has just ended the step before ``step``, or begun the first."""
    process = begin(stack, "deploy", "elt")
    first = step == _STEPS[0]
    awaited = step if first else _STEPS[_STEPS.index(step) - 1]
    for line in process.stdout or ():
        if awaited in line and (first or "✓" in line):
            break
    return process


@pytest.mark.parametrize(("step", "how"), INTERRUPTIONS)
def test_an_interrupted_deployment_leaves_a_release_serving(
    stack: Stack, step: str, how: signal.Signals
) -> None:
    former = live(stack)
    write_release(stack, f"{step} {how.name}")
    process = begin_until(stack, step)
    kill(process, how)
    if how == signal.SIGINT:
        assert process.returncode in {INTERRUPTED, 0}
        # It has put right what it had begun.
        until(lambda: one_container(stack), seconds=10)
    serves(stack)
    # The next command puts the rest right; the engine has freed the lock of the killed one.
    outcome = until(lambda: deploy(stack, "--wait=30"), seconds=30)
    assert outcome["former"] in {former, outcome["release"]}
    one_container(stack)
    run = launch(stack, "elt", "release_job")
    run.wait()
    assert run.stdout() == f"release {step} {how.name}\n"


@pytest.mark.long
def test_two_deployments_at_once(stack: Stack) -> None:
    write_release(stack, "first of two")
    first = begin(stack, "deploy", "elt")
    for line in first.stdout or ():
        if "Building" in line:
            break
    refused = stackctl(stack, "deploy", "elt")
    assert refused.code == LOCKED, refused.text
    assert "elt is being changed by" in refused.text
    assert " since " in refused.text
    # Another location has a lock of its own.
    assert stackctl(stack, "diff", "analytics").code == 0
    second = stackctl(stack, "deploy", "elt", "--wait=60")
    assert first.communicate() and first.returncode == 0
    assert second.code == 0, second.text
    assert "nothing to do" in second.text
    one_container(stack)

"""Runs keep the release that they were created with; releases that nobody needs go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness import Stack
from releases import JOB, deploy, listed, write, write_release
from runs import ONCE, launch

_SLOW = '''

@dg.op
def wait_for_file() -> None:
    """Runs until the test says so."""
    import pathlib
    import time

    while not pathlib.Path("/var/lib/dagster/storage/go-on").exists():
        time.sleep(0.1)
    print("release {marker}", flush=True)


@dg.job
def waiting_job() -> None:
    """In flight while its location is shipped."""
    wait_for_file()
'''


@pytest.fixture
def keep_one(stack: Stack) -> Iterator[None]:
    stack.settings["KEEP_RELEASES"] = "1"
    try:
        yield
    finally:
        del stack.settings["KEEP_RELEASES"]
        stack.compose("exec", "-T", "elt", "rm", "-f", "/var/lib/dagster/storage/go-on")


def has_container(stack: Stack, release: str) -> bool:
    """Whether any container, ended ones too, is one of this release."""
    image = f"ancestor={stack.project}/elt:{release}"
    return bool(stack.run("docker", "ps", "--all", "--quiet", "--filter", image).strip())


@pytest.mark.usefixtures("keep_one")
@pytest.mark.long
def test_runs_keep_their_release_when_it_is_two_releases_old(stack: Stack) -> None:
    write(stack, JOB.format(marker="old") + _SLOW.format(marker="old"))
    old = deploy(stack)["release"]
    in_flight = launch(stack, "elt", "waiting_job", tags=ONCE)
    in_flight.wait("STARTED")
    # What is queued while no daemon takes it has its release, too.
    stack.compose("stop", "daemon")
    waiting = launch(stack, "elt", "release_job", tags=ONCE)
    stack.compose("start", "daemon")
    shipped = []
    for marker in ("two", "three"):
        write_release(stack, marker)
        shipped.append(deploy(stack)["release"])
    kept = [one["release"] for one in listed(stack)]
    # The live one, one to go back to, and the one that a run still needs; beside them what an
    # ended container that people may look into has.
    assert kept[:2] == [shipped[1], shipped[0]]
    assert old in kept
    assert not {one for one in kept[2:] if one != old and not has_container(stack, one)}
    [needed] = [one for one in listed(stack) if one["release"] == old]
    assert needed["runs"] >= 1

    stack.compose("exec", "-T", "elt", "touch", "/var/lib/dagster/storage/go-on")
    in_flight.wait()
    waiting.wait()
    assert in_flight.stdout() == "release old\n"
    assert waiting.stdout() == "release old\n"

    stack.run("docker", "rm", "--force", *stack.run_containers())
    write_release(stack, "four")
    last = deploy(stack)["release"]
    assert [one["release"] for one in listed(stack)] == [last, shipped[1]]

"""From the former release of Dagster to the pinned one, in a stack with runs and a queue."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from backup_service import backed_up
from harness import FULL, REPOSITORY, Stack, until
from releases import begin, kill
from runs import Run, launch

_PROJECT = REPOSITORY / "deploy/control_plane/pyproject.toml"
[PINNED] = re.findall(r'"dagster==([0-9.]+)"', _PROJECT.read_text())
_SERIES, _, _PATCH = PINNED.rpartition(".")
FORMER = f"{_SERIES}.{int(_PATCH) - 1}"
# The control plane, and the image of two locations; elt is newer than the control plane then.
IMAGES = ("control-plane", "migrate", "analytics", *(("elt",) if FULL else ()))
# A machine at work takes several times what a quiet one does.
MOST_AWAY_S = 60.0
COPY_SUBNETS = "10.60"


def make_former(stack: Stack, image: str) -> None:
    """Give the live name of an image to its twin of the former release."""
    name = f"{stack.project}/{image}:live"
    stack.run("docker", "tag", name, name.replace(":live", ":pinned"))
    arguments = {"IMAGE": name.replace(":live", ":pinned"), "FORMER": str(int(_PATCH) - 1)}
    arguments |= {"PINNED": _PATCH}
    if index := os.environ.get("PIP_INDEX_URL"):
        arguments["PIP_INDEX_URL"] = index
    options = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    folder = Path(__file__).parent
    stack.run(
        *("docker", "build", "--quiet", "--provenance=false", f"--tag={name}", *options),
        *(f"--secret=id=netrc,src={REPOSITORY / 'deploy/ca/no-netrc'}",),
        *(f"--file={folder / 'former.Dockerfile'}", str(folder)),
    )


@pytest.fixture(scope="module")
def former(stack: Stack) -> Iterator[Stack]:
    """The stack with the former release, and backups."""
    with backed_up(stack):
        with ThreadPoolExecutor(2) as pool:
            building = pool.submit(stack.compose, "build", "--quiet", "backup")
            list(pool.map(lambda image: make_former(stack, image), IMAGES))
            building.result()
        stack.compose("up", "--detach", "--no-build", "--wait")
        assert version(stack) == FORMER
        yield stack
        for image in IMAGES:
            name = f"{stack.project}/{image}"
            stack.run("docker", "tag", f"{name}:pinned", f"{name}:live")
            stack.run("docker", "rmi", f"{name}:pinned")
    stack.compose("up", "--detach", "--no-build", "--wait")


def version(stack: Stack) -> str:
    """Of Dagster, as the UI says it."""
    found: str = stack.ask("{ version }")["version"]
    return found


class Absence(threading.Thread):
    """How long the UI is away, as someone who asks four times a second sees it."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(daemon=True)
        self._stack = stack
        self.over = threading.Event()
        self.seconds = 0.0

    def run(self) -> None:
        last = time.monotonic()
        while not self.over.wait(0.25):
            with suppress(AssertionError, KeyError, ValueError, httpx.HTTPError):
                version(self._stack)
                now = time.monotonic()
                self.seconds = max(self.seconds, now - last)
                last = now


def leftovers(stack: Stack) -> list[str]:
    """What there is of the copy."""
    own = f"--filter=label=com.docker.compose.project={stack.project}-trial"
    kinds = (["ps", "--all"], ["volume", "ls"], ["network", "ls"])
    found = [stack.run("docker", *kind, "--quiet", own) for kind in kinds]
    found.append(stack.run("docker", "images", "--quiet", f"{stack.project}-trial/*"))
    return [line for each in found for line in each.split()]


def locations_of(stack: Stack) -> dict[str, str]:
    """The container of each code location."""
    return {name: stack.container(name) for name in ("elt", "analytics", "scenarios")}


def answer(process: subprocess.Popen[str], line: str) -> str:
    """Read what the command says up to a line with these words."""
    said = ""
    for each in process.stdout or ():
        said += each
        if line in each:
            return said
    raise AssertionError(said)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["TO=next"], "error: TO is 'next': not a version. Fix: "),
        (["TO=1.0.0"], "error: TO is 1.0.0, and this checkout has Dagster "),
    ],
)
def test_what_cannot_be_is_refused(stack: Stack, arguments: list[str], words: str) -> None:
    said = stack.run("make", "upgrade", "YES=1", *arguments, check=False)
    assert words in said and "Traceback" not in said


def test_an_upgrade_is_tried_and_then_keeps_runs_and_queue(former: Stack) -> None:
    stack = former
    before = locations_of(stack)
    asked = ("upgrade", f"--to={PINNED}", f"--subnets={COPY_SUBNETS}")
    upgrade = begin(stack, *asked, stdin=subprocess.PIPE)
    said = answer(upgrade, "written: ")
    # Nobody has been asked yet, and nothing has happened to the stack.
    assert version(stack) == FORMER and leftovers(stack) == []
    assert f"Dagster   {FORMER} to {PINNED}" in said
    for name, of in (("analytics", FORMER), ("scenarios", FORMER)):
        assert f"{name} (Dagster {of}): loads, and a run of " in said, said
    # One that is under way all the time, and one that nobody takes before the new daemon is there.
    config = {"ops": {"mark_time": {"config": {"seconds": 600}}}}
    under_way = launch(stack, "scenarios", "mark_time_job", config)
    under_way.wait("STARTED")
    absence = Absence(stack)
    absence.start()
    daemon = stack.container("daemon")
    assert upgrade.stdin
    upgrade.stdin.write("y\n")
    upgrade.stdin.close()
    until(lambda: _has_ended(stack, daemon), seconds=60, every=0.1)
    # The UI still answers: it goes after the daemon.
    queued = launch(stack, "scenarios", "tick_job")
    said += upgrade.stdout.read() if upgrade.stdout else ""
    assert upgrade.wait() == 0, said
    absence.over.set()
    absence.join()
    assert version(stack) == PINNED
    assert f"Dagster {PINNED} is live. Back to before: make upgrade-back" in said
    print(f"the UI was away for {absence.seconds:.1f} s\n{said}")
    assert absence.seconds < MOST_AWAY_S
    # Neither code locations nor runs have noticed.
    assert locations_of(stack) == before
    assert under_way.status == "STARTED"
    queued.wait()
    launch(stack, "scenarios", "tick_job").wait()
    assert_goes_on(under_way)
    under_way.terminate()
    assert leftovers(stack) == []
    # What runs once has run, and plain Compose finds nothing to change.
    states = {name: container["State"]["Status"] for name, container in stack.containers()}
    assert "created" not in states.values(), states
    services = {name: container["Id"] for name, container in stack.containers()}
    stack.compose("up", "--detach", "--no-build")
    assert {name: container["Id"] for name, container in stack.containers()} == services
    again = make(stack, "upgrade")
    assert f"Dagster {PINNED} of this checkout runs already, nothing to do" in again


def _has_ended(stack: Stack, container: str) -> None:
    assert not stack.inspect(container)["State"]["Running"]


def assert_goes_on(run: Run) -> None:
    """Its process has gone on: each second is there, once, and further ones come."""
    seconds = marks(run)
    assert seconds == list(range(1, len(seconds) + 1))
    until(lambda: _has_more(run, len(seconds)), seconds=30)


def _has_more(run: Run, than: int) -> None:
    assert len(marks(run)) > than


def marks(run: Run) -> list[int]:
    """The seconds that it has counted."""
    return [int(each) for each in re.findall(r"'message': 'second (\d+)'", run.text())]


@contextmanager
def changed(stack: Stack, name: str, text: str) -> Iterator[None]:
    """The checkout with a file of another content, or with one more."""
    path = stack.folder / name
    before = path.read_text() if path.exists() else None
    path.write_text(text)
    try:
        yield
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_text(before)


@pytest.mark.long
def test_back_and_what_came_since_is_named(former: Stack) -> None:
    stack = former
    since = launch(stack, "scenarios", "tick_job")
    since.wait()
    said = make(stack, "upgrade-back")
    assert version(stack) == FORMER
    assert since.id in runs_since(stack, said)
    # No table had changed: nothing is lost.
    assert since.status == "SUCCESS"
    launch(stack, "scenarios", "tick_job").wait()
    again = make(stack, "upgrade-back", check=False)
    assert "error: there is no upgrade to undo. Fix: " in again


@pytest.mark.long
def test_a_control_plane_that_does_not_come_up_is_taken_back(former: Stack) -> None:
    stack = former
    name = "deploy/control_plane/src/control_plane/daemon.py"
    # On the copy there is no daemon, so that the trial does not see it.
    broken = "raise SystemExit('it does not start')\n" + (REPOSITORY / name).read_text()
    with changed(stack, name, broken.replace("from __future__ import annotations\n", "")):
        said = make(stack, "upgrade", check=False)
    assert f"went back to Dagster {FORMER}, no data were lost: " in said, said
    assert version(stack) == FORMER
    launch(stack, "scenarios", "tick_job").wait()


@pytest.mark.long
def test_an_interrupted_switch_is_told_and_finished(former: Stack) -> None:
    stack = former
    upgrade = begin(stack, "upgrade", "--yes", f"--subnets={COPY_SUBNETS}")
    answer(upgrade, "Stopping the daemon")
    kill(upgrade, signal.SIGKILL)
    said = make(stack, "upgrade")
    assert f"An upgrade to Dagster {PINNED} by " in said and "was interrupted" in said
    assert version(stack) == PINNED
    launch(stack, "scenarios", "tick_job").wait()


@pytest.mark.long
def test_where_tables_changed_the_way_back_restores_the_moment_before(former: Stack) -> None:
    stack = former
    before = launch(stack, "scenarios", "tick_job")
    before.wait()
    index = "CREATE INDEX IF NOT EXISTS probe ON runs (status, run_id);\n"
    with changed(stack, "deploy/postgres/dagster/92_probe.sql", index):
        said = make(stack, "upgrade")
    assert "adds index runs.probe" in said
    since = launch(stack, "scenarios", "tick_job")
    since.wait()
    said = make(stack, "upgrade-back")
    assert since.id in runs_since(stack, said)
    [[count]] = stack.sql("SELECT count(*) FROM pg_indexes WHERE indexname = 'probe'", "dagster")
    assert count == "0"
    assert before.status == "SUCCESS"
    assert stack.sql(f"SELECT 1 FROM runs WHERE run_id = '{since.id}'", "dagster") == []
    launch(stack, "scenarios", "tick_job").wait()


def make(stack: Stack, task: str, check: bool = True) -> str:
    """What `make` says, without a question."""
    return stack.run("make", task, "YES=1", f"TRIAL_SUBNETS={COPY_SUBNETS}", check=check)


def runs_since(stack: Stack, said: str) -> str:
    """The list of runs that the command has written."""
    [path] = re.findall(r"listed in (\S+)", said)
    return Path(stack.folder, path).read_text()

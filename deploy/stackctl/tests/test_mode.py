"""Each task of the Makefile in the mode that runs in this checkout, or a sentence about it."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackctl import mode
from stackctl.docker import ROOT

# What the Docker form of a task is here.
DOCKER_FORM = ("echo", "with docker")
TARGET = re.compile(r"^([a-z-]+):.*## (\S+) (.+)$", re.MULTILINE)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout in which the embedded mode has been started once."""
    checkout = tmp_path / "checkout"
    scripts = checkout / "deploy" / "stackctl"
    (scripts / "src" / "stackctl").mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "stackctl" / "task", scripts)
    shutil.copy(mode.__file__, scripts / "src" / "stackctl")
    (checkout / ".dev").mkdir()
    (checkout / ".dev" / "lock").touch()
    program = checkout / "deploy" / "embedded" / ".venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text(
        f'#!/bin/sh\n[ "$1" = -m ] || exec "{sys.executable}" "$@"\nshift\necho "$@"\n'
    )
    program.chmod(0o755)
    return checkout


@pytest.fixture
def embedded(root: Path) -> Iterator[None]:
    """The embedded mode, as far as its lock goes."""
    with (root / ".dev" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def docker(root: Path, body: str) -> None:
    """A docker command, at the front of PATH."""
    program = root.parent / "bin" / "docker"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)


def task(root: Path, name: str, **environment: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a task where docker is only what a test made."""
    programs = root.parent / "bin"
    programs.mkdir(exist_ok=True)
    for program in ("sh", "dirname", "tail", "echo"):
        if not (programs / program).exists():
            (programs / program).symlink_to(shutil.which(program) or "")
    done = subprocess.run(
        [root / "deploy" / "stackctl" / "task", name, *DOCKER_FORM],
        env={"PATH": str(programs), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.strip(), done.stderr.strip()


@pytest.fixture(autouse=True)
def programs(root: Path) -> None:
    (root.parent / "bin").mkdir()


@pytest.mark.usefixtures("embedded")
@pytest.mark.parametrize("name", sorted(mode.IN_BOTH))
def test_where_the_embedded_mode_runs_it_answers(root: Path, name: str) -> None:
    assert task(root, name) == (0, f"embedded {name}", "")


@pytest.mark.usefixtures("embedded")
@pytest.mark.parametrize("name", sorted(mode.INSTEAD))
def test_what_needs_docker_says_what_the_embedded_mode_has_instead(root: Path, name: str) -> None:
    code, answer, [error] = *task(root, name)[:2], task(root, name)[2].splitlines()
    assert (code, answer) == (3, "")
    assert error.startswith(f"error: the embedded mode has no `make {name}`: ")


def test_where_neither_runs_and_docker_is_absent_both_ways_are_named(root: Path) -> None:
    code, _, error = task(root, "status")
    assert code == 1
    assert error.startswith("error: neither mode runs in this checkout, and there is no docker")
    assert "'make dev'" in error and "'make up'" in error
    shutil.rmtree(root / "deploy" / "embedded")  # never started here
    assert task(root, "status") == (code, "", error)


def test_where_no_engine_answers_both_ways_are_named(root: Path) -> None:
    docker(root, "echo 'Cannot connect to the daemon' >&2; exit 1")
    code, _, error = task(root, "logs")
    assert code == 1
    assert "no Docker Engine answers (Cannot connect to the daemon)" in error
    assert "'make dev'" in error and "'make up'" in error


def test_with_docker_the_task_is_docker_s(root: Path) -> None:
    docker(root, "exit 0")
    assert task(root, "status") == (0, "with docker", "")


@pytest.mark.usefixtures("embedded")
def test_where_both_run_the_user_says_which(root: Path) -> None:
    docker(root, f'case "$*" in *working_dir={root}) echo 0123;; esac')
    assert task(root, "deploy") == (0, "with docker", "")
    code, _, error = task(root, "down")
    assert code == 3
    assert error.startswith("error: both modes run in this checkout")
    assert task(root, "down", MODE="docker") == (0, "with docker", "")
    assert task(root, "down", MODE="embedded") == (0, "embedded down", "")


@pytest.mark.usefixtures("embedded")
def test_containers_of_another_checkout_do_not_count(root: Path) -> None:
    docker(root, 'case "$*" in *working_dir=/another) echo 0123;; esac')
    assert task(root, "status")[1] == "embedded status"


def test_an_unknown_mode_is_named(root: Path) -> None:
    assert task(root, "status", MODE="swarm")[2] == (
        "error: MODE is 'swarm'. Fix: MODE=embedded or MODE=docker"
    )


def makefile() -> dict[str, tuple[str, str]]:
    """Modes and description of each target."""
    text = (ROOT / "Makefile").read_text()
    return {name: (modes, words) for name, modes, words in TARGET.findall(text)}


def test_each_task_says_in_which_mode_it_works() -> None:
    tasks = makefile()
    assert {modes for modes, _ in tasks.values()} == {"D", "E", "DE", "-"}
    text = (ROOT / "Makefile").read_text()
    dispatched = {name: tasks[name][0] for name in re.findall(r"\$\(TASK\) ([a-z-]+) ", text)}
    assert {name for name, modes in dispatched.items() if modes == "DE"} == mode.IN_BOTH
    assert {name for name, modes in dispatched.items() if modes == "D"} == set(mode.INSTEAD)
    assert {name for name, (modes, _) in tasks.items() if modes == "D"} - set(mode.INSTEAD) == {
        "up"
    }


@pytest.mark.parametrize(
    "program",
    [
        *(".ci/base-images", ".ci/debian-programs", ".ci/engine", ".ci/run"),
        *(f"deploy/stackctl/{name}" for name in ("build", "down", "preflight", "ps", "psql")),
        *(f"deploy/stackctl/{name}" for name in ("reset", "retention", "status", "up", "user")),
        *(f"tests/{name}" for name in ("audit", "check", "clean", "lint", "own_engine", "run")),
        *("tests/soak", "tests/words"),
    ],
)
def test_help_says_what_a_program_does_and_does_nothing(program: str) -> None:
    done = subprocess.run([ROOT / program, "--help"], capture_output=True, text=True, timeout=10)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    # A sentence, and no line of the program.
    assert ". " in done.stdout.replace("\n", " ") or "usage:" in done.stdout
    assert "set -" not in done.stdout


def test_help_has_a_line_for_each_task_in_groups() -> None:
    done = subprocess.run(
        ["make", "help"], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=True
    )
    plain = re.sub(r"\x1b\[\d*m", "", done.stdout).splitlines()
    for name, (modes, words) in makefile().items():
        assert [line for line in plain if line.split() == [name, modes, *words.split()]]
    for group in re.findall(r"^##@ (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE):
        assert group in plain

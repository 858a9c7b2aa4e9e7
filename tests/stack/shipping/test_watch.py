"""A changed file is served within seconds."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness import Stack, until
from releases import JOB, begin, containers, kill, write

_JOBS = """{ repositoryOrError(repositorySelector: {repositoryLocationName: "elt",
  repositoryName: "__repository__"}) { ... on Repository { jobs { name } } } }"""


def jobs(stack: Stack) -> set[str]:
    """Names of elt's jobs, as the webserver serves them."""
    found = stack.ask(_JOBS)["repositoryOrError"].get("jobs") or []
    return {job["name"] for job in found}


def serves_watched_job(stack: Stack) -> None:
    assert "watched_job" in jobs(stack)


def serves_it_no_more(stack: Stack) -> None:
    assert jobs(stack)
    assert "watched_job" not in jobs(stack)


# Not what an earlier test has shipped.
WATCHED = JOB.format(marker="watched").replace("release_job", "watched_job")


@contextmanager
def saying(process: subprocess.Popen[str], words: str) -> Iterator[None]:
    """Once the command has said so; it is interrupted afterwards."""
    for line in process.stdout or ():
        if words in line:
            break
    try:
        yield
    finally:
        kill(process, signal.SIGINT)


@pytest.mark.long
def test_make_watch(stack: Stack) -> None:
    others = {k: v for k, v in containers(stack).items() if "-elt-" not in k}
    with saying(begin(stack, "watch", "elt"), "watching elt"):
        write(stack, WATCHED)
        until(lambda: serves_watched_job(stack), seconds=60)
        # One that does not load is explained, and the watch goes on.
        write(stack, "raise RuntimeError('half a thought')")
        write(stack, "")
        until(lambda: serves_it_no_more(stack), seconds=90)
    assert {k: v for k, v in containers(stack).items() if "-elt-" not in k} == others


@pytest.mark.long
def test_docker_compose_watch(stack: Stack) -> None:
    others = {k: v for k, v in containers(stack).items() if "-elt-" not in k}
    process = subprocess.Popen(
        ["docker", "compose", "watch", "elt"],
        cwd=stack.folder,
        env=stack.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with saying(process, "Watch"):
        write(stack, WATCHED)
        until(lambda: serves_watched_job(stack), seconds=60)
    assert {k: v for k, v in containers(stack).items() if "-elt-" not in k} == others

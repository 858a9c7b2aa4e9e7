"""No secret's value is anywhere but in the volumes of its consumers, after all other scenarios."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from harness import Stack
from runs import launch

# Reads volumes: has a shell and grep, and is there anyway.
READER = "postgres:17-trixie"


def read_volumes(stack: Stack, volumes: list[str], *command: str, stdin: str = "") -> str:
    """Run a command as root over volumes of the stack, which stand in /v by their names."""
    mounts = [f"--volume={volume}:/v/{volume}:ro" for volume in volumes]
    run = ["docker", "run", "--rm", "--interactive", "--network=none", "--user=0", *mounts]
    return stack.run(*run, "--entrypoint=sh", READER, "-c", *command, stdin=stdin)


@pytest.fixture(scope="module")
def volumes(stack: Stack) -> list[str]:
    """Names of all volumes of the stack."""
    label = f"label=com.docker.compose.project={stack.project}"
    return stack.run("docker", "volume", "ls", "-q", "--filter", label).split()


@pytest.fixture(scope="module")
def secrets(stack: Stack, volumes: list[str]) -> dict[str, str]:
    """Files by every value that they hold: passwords, keys, the lines of the private key."""
    of_secrets = [name for name in volumes if name.startswith(f"{stack.project}_secrets")]
    show = 'cd /v && for file in $(find . -type f); do echo "@$file"; cat "$file"; echo; done'
    values: dict[str, str] = {}
    for part in read_volumes(stack, of_secrets, show).split("@./")[1:]:
        file, _, content = part.partition("\n")
        if key := re.search("BEGIN PRIVATE KEY-+\n(.*?)\n-+END", content, re.DOTALL):
            # Its first line is the same in every key of a kind, its last one short.
            values |= dict.fromkeys(key[1].split("\n")[1:-1], file)
        else:
            values[content.strip()] = file
    assert len(values) >= 6, sorted(values.values())
    assert all(len(value) >= 16 for value in values), "too short to be searched for"
    return values


@pytest.fixture(scope="module", autouse=True)
def failures(stack: Stack) -> None:
    """Runs of both locations, some of which cannot do their work: errors love to quote."""
    launch(stack, "elt", "sync_tables_job").wait()
    launch(stack, "analytics", "regenerate_analytics_job").wait(seconds=240)
    stack.compose("stop", "object_store")
    try:
        launch(stack, "elt", "sync_tables_job").wait("FAILURE", seconds=240)
    finally:
        stack.compose("start", "object_store")


def search(secrets: dict[str, str], text: str) -> list[str]:
    """Which secrets a text holds, by their files' names."""
    return [file for value, file in secrets.items() if value in text]


def test_it_would_be_found(secrets: dict[str, str]) -> None:
    value, file = next(iter(secrets.items()))
    assert search(secrets, f"password={value};") == [file]


def containers(stack: Stack) -> Iterator[str]:
    """Ids of services, one-shots and runs."""
    yield from stack.compose("ps", "--all", "--quiet").split()
    yield from stack.run_containers()


def say(stack: Stack, about: str, container: str) -> str:
    """What `docker inspect` or `docker logs` prints of a container.

    Nothing of one that is gone since it was listed: the daemon removes runs that ended and
    standby workers at any time, and with them goes what docker could say of them.
    """
    try:
        return stack.run("docker", about, container)
    except AssertionError:
        if container in containers(stack):
            raise
        return ""


def test_not_in_what_docker_says_of_containers(stack: Stack, secrets: dict[str, str]) -> None:
    found = list(containers(stack))
    for about in ("inspect", "logs"):
        said = {container: say(stack, about, container) for container in found}
        assert sum(bool(text) for text in said.values()) > 10
        for container, text in said.items():
            assert not search(secrets, text), container


def test_not_in_images(stack: Stack, secrets: dict[str, str]) -> None:
    images = sorted(
        name
        for name in stack.run(
            "docker", "images", f"{stack.project}/*", "--format", "{{.Repository}}:{{.Tag}}"
        ).split()
        if name.endswith(":live")
    )
    assert len(images) >= 5
    for image in images:
        history = stack.run("docker", "history", "--no-trunc", image)
        assert not search(secrets, history + stack.run("docker", "inspect", image)), image
    with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as save:
        patterns = stack.folder / "patterns"
        patterns.write_text("\n".join(secrets))
        grep = ["grep", "--text", "--count", "--fixed-strings", f"--file={patterns}"]
        counted = subprocess.run(grep, stdin=save.stdout, capture_output=True, text=True)
        patterns.unlink()
    assert counted.stdout.strip() == "0", counted


def test_not_in_other_volumes(stack: Stack, volumes: list[str], secrets: dict[str, str]) -> None:
    """Compute logs, storage, the object store, the database's own files."""
    others = [name for name in volumes if not name.startswith(f"{stack.project}_secrets")]
    assert f"{stack.project}_compute_logs" in others
    command = "cd /v && grep -r --text --files-with-matches --fixed-strings --file=- . || true"
    assert read_volumes(stack, others, command, stdin="\n".join(secrets)).strip() == ""


def test_not_in_the_databases(stack: Stack, secrets: dict[str, str]) -> None:
    dump = stack.compose(
        *("exec", "-T", "postgres", "pg_dumpall", "-U", "postgres", "-h", "/var/run/postgresql")
    )
    assert "CREATE ROLE elt" in dump and "COPY public.event_logs" in dump
    assert not search(secrets, dump)


def test_not_in_the_project(stack: Stack, secrets: dict[str, str]) -> None:
    for file in stack.folder.rglob("*"):
        if file.is_file() and ".venv" not in file.parts and file.stat().st_size < 10_000_000:
            assert not search(secrets, file.read_text(errors="replace")), file

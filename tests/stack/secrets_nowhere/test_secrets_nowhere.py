"""No secret's value is anywhere but in the volumes of its consumers, after all other scenarios."""

from __future__ import annotations

import gzip
import re
import subprocess
import tarfile
import uuid
from collections.abc import Iterable, Iterator
from functools import partial
from io import BufferedReader
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, cast

import pytest

from harness import Stack, until
from runs import launch, load

# Reads volumes: has a shell and grep, and is there anyway.
READER = "postgres:17-trixie"
MIB = 2**20
# Planted in each place that is searched: a search that cannot find this proves nothing.
MARKER = f"planted-{uuid.uuid4().hex}"


def read_volumes(stack: Stack, volumes: list[str], *command: str, stdin: str = "") -> str:
    """Run a command as root over volumes of the stack, which are in /v by their names."""
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
    """Runs of both locations, one of which meets an outage: errors love to quote."""
    runs = [launch(stack, "analytics", "regenerate_analytics_job")]
    stack.compose("stop", "object_store")
    try:
        # One table: boto3 takes its time for each.
        runs.append(load(stack, "products"))

        def has_met_the_outage() -> None:
            assert "ExecutionStepUpForRetryEvent" in runs[-1].text()

        until(has_met_the_outage, seconds=120, every=1)
    finally:
        stack.compose("start", "object_store")
    for run in runs:
        run.wait(seconds=240)


@pytest.fixture(scope="module")
def patterns(secrets: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is searched for, a line each: all secrets, and a marker that each place is given."""
    file = tmp_path_factory.mktemp("secrets") / "patterns"
    file.write_text("\n".join([*secrets, MARKER]))
    return file


def grep(patterns: Path, text: str | Iterable[bytes]) -> set[str]:
    """Which of the patterns a text or some chunks hold. Raises where grep cannot read it."""
    command = ["grep", "--text", "--only-matching", "--fixed-strings", f"--file={patterns}"]
    with (
        TemporaryFile() as found,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=found) as searching,
    ):
        assert searching.stdin
        for chunk in [text.encode()] if isinstance(text, str) else text:
            searching.stdin.write(chunk)
        searching.stdin.close()
        assert searching.wait() in {0, 1}
        found.seek(0)
        return set(found.read().decode(errors="replace").split("\n")) - {""}


def containers(stack: Stack) -> Iterator[str]:
    """Ids of services, one-shots and runs."""
    yield from stack.compose("ps", "--all", "--quiet").split()
    yield from stack.run_containers()


def say(stack: Stack, about: str, container: str) -> str:
    """What `docker inspect` or `docker logs` prints of a container.

    Nothing of one that was removed since it was listed: the daemon removes runs that ended and
    standby workers at any time.
    """
    try:
        return stack.run("docker", about, container)
    except AssertionError:
        if container in containers(stack):
            raise
        return ""


def test_not_in_what_docker_says_of_containers(stack: Stack, patterns: Path) -> None:
    run = ["docker", "run", "--detach", f"--env=PLANTED={MARKER}", "--entrypoint=echo"]
    planted = stack.run(*run, READER, MARKER).strip()
    try:
        stack.run("docker", "wait", planted)
        for about in ("inspect", "logs"):
            said = {id: say(stack, about, id) for id in [*containers(stack), planted]}
            assert sum(bool(text) for text in said.values()) > 10
            found = {id: grep(patterns, text) for id, text in said.items()}
            assert {id: hits for id, hits in found.items() if hits} == {planted: {MARKER}}, about
    finally:
        stack.run("docker", "rm", "--force", planted)


DOCKERFILE = f"""
FROM {READER}
LABEL planted={MARKER}
RUN echo {MARKER} >/planted
RUN rm /planted
"""


@pytest.fixture
def planted_image(stack: Stack) -> Iterator[str]:
    """An image that holds the marker in its history, and in a layer that the next one hides."""
    name = f"{stack.project}/planted:live"
    stack.run("docker", "build", "--quiet", f"--tag={name}", "-", stdin=DOCKERFILE)
    yield name
    stack.run("docker", "rmi", "--force", name)


def blobs(stack: Stack, images: list[str]) -> Iterator[IO[bytes]]:
    """Layers and configurations of images, each once, as they are without compression.

    Nothing of them is written to a disk: they are a gigabyte and more.
    """
    command = ["docker", "save", *images]
    with (
        subprocess.Popen(command, env=stack.environment, stdout=subprocess.PIPE) as saving,
        tarfile.open(fileobj=saving.stdout, mode="r|") as archive,
    ):
        for member in archive:
            if not member.isfile():
                continue
            with cast(BufferedReader, archive.extractfile(member)) as file:
                start = file.peek(4)
                assert start[:4] != b"\x28\xb5\x2f\xfd", "a layer compressed by zstd: unpack it"
                if start[:2] == b"\x1f\x8b":
                    with gzip.open(file) as unpacked:
                        yield cast(IO[bytes], unpacked)
                else:
                    yield file
    assert saving.returncode == 0


def test_not_in_images(stack: Stack, patterns: Path, planted_image: str) -> None:
    listed = stack.run(
        "docker", "images", f"{stack.project}/*", "--format", "{{.Repository}}:{{.Tag}}"
    ).split()
    images = sorted(name for name in listed if name.endswith(":live"))
    assert len(images) >= 6 and planted_image in images
    for about in ("history", "inspect"):
        options = ["--no-trunc"] if about == "history" else []
        found = {
            name: grep(patterns, stack.run("docker", about, *options, name)) for name in images
        }
        assert {name: hits for name, hits in found.items() if hits} == {planted_image: {MARKER}}
    # By whether it is a layer: a configuration repeats the history.
    hits: dict[bool, set[str]] = {True: set(), False: set()}
    for content in blobs(stack, images):
        start = content.read(MIB)
        # Where the archive of a layer says that it is one.
        is_layer = start[257:262] == b"ustar"
        hits[is_layer] |= grep(patterns, chain([start], iter(partial(content.read, MIB), b"")))
    assert hits == {True: {MARKER}, False: {MARKER}}


def test_not_in_other_volumes(stack: Stack, volumes: list[str], patterns: Path) -> None:
    """Compute logs, storage, the object store, the database's own files."""
    others = [name for name in volumes if not name.startswith(f"{stack.project}_secrets")]
    assert f"{stack.project}_compute_logs" in others
    planted = f"{stack.project}-planted"
    write = ["docker", "run", "--rm", f"--volume={planted}:/v", "--entrypoint=sh", READER]
    stack.run(*write, "-c", f"mkdir /v/deep && echo {MARKER} >/v/deep/file")
    # Files that a service removes while grep reads are not an error; others are.
    command = (
        "cd /v && grep -r --text --with-filename --only-matching --fixed-strings --file=- ."
        " 2>/errors; grep -v 'No such file' /errors; true"
    )
    try:
        found = read_volumes(stack, [*others, planted], command, stdin=patterns.read_text())
    finally:
        stack.run("docker", "volume", "rm", planted)
    assert found.strip() == f"./{planted}/deep/file:{MARKER}"


def test_not_in_the_databases(stack: Stack, patterns: Path) -> None:
    stack.sql(f"COMMENT ON DATABASE warehouse IS '{MARKER}'")
    try:
        dump = stack.compose(
            *("exec", "-T", "postgres", "pg_dumpall", "-U", "postgres", "-h", "/var/run/postgresql")
        )
    finally:
        stack.sql("COMMENT ON DATABASE warehouse IS NULL")
    assert "CREATE ROLE elt" in dump and "COPY public.event_logs" in dump
    assert grep(patterns, dump) == {MARKER}


def test_not_in_the_project(stack: Stack, patterns: Path) -> None:
    (stack.folder / "planted").write_text(MARKER)
    command = ["grep", "--recursive", "--text", "--only-matching", "--fixed-strings"]
    found = stack.run(*command, f"--file={patterns}", "--exclude-dir=.venv", ".", check=False)
    (stack.folder / "planted").unlink()
    assert found.strip() == f"./planted:{MARKER}"

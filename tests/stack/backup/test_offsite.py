"""Copies of the backups in an S3 store elsewhere: readable with the password alone, and of use."""

from __future__ import annotations

import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from backup_service import listed
from harness import Stack, until
from landing import put
from releases import begin, kill

URL = "s3:http://store-elsewhere:8333/copies/stack"
# Of a store that ends with the test.
KEYS = {"AWS_ACCESS_KEY_ID": "key-of-the-test", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test"}
MARKER = "a line in a file of the landing zone"


def _succeeds(*command: str) -> None:
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def open_repository(stack: Stack, password: str = "", *, check: bool = True) -> str:
    """What the command says to somebody who types both keys and a password."""
    typed = "".join(f"{line}\n" for line in (*KEYS.values(), password))
    return stack.run("make", "backup-repository", stdin=typed, check=check)


def _says(stack: Stack, words: str) -> None:
    assert words in stack.run("make", "backups")


def _says_not(stack: Stack, words: str) -> None:
    assert words not in stack.run("make", "backups")


@pytest.fixture(scope="module")
def elsewhere(backups: Stack) -> Iterator[str]:
    """The container of a store outside the stack, where copies go."""
    stack = backups
    image = stack.inspect(stack.container("object_store"))["Config"]["Image"]
    container = stack.run(
        *("docker", "run", "--detach", f"--name={stack.project}-elsewhere"),
        f"--network={stack.project}_outside",
        *("--network-alias=store-elsewhere", "--env=S3_BUCKET=copies"),
        *(f"--env={name}={value}" for name, value in KEYS.items()),
        *(image, "mini", "-dir=/data", "-ip=127.0.0.1"),
    ).split()[-1]
    health = ("exec", container, "curl", "--fail", "--silent", "http://127.0.0.1:8333/healthz")
    until(lambda: _succeeds("docker", *health), seconds=60)
    changed = {"BACKUP_REPOSITORY": URL, "BACKUP_OFFSITE_EVERY_MIN": "0.05"}
    stack.settings.update(changed)
    yield container
    stack.compose("rm", "--stop", "--force", "backup_offsite")
    for name in changed:
        del stack.settings[name]
    stack.run("docker", "rm", "--force", "--volumes", container)


def test_what_is_copied_comes_back_on_another_disk(
    backups: Stack, elsewhere: str, tmp_path: Path
) -> None:
    stack = backups
    put(stack, "kept.note", MARKER)
    stack.run("make", "backup")
    stack.compose("up", "--detach", "--wait", "backup_offsite")
    until(lambda: _says(stack, "FAILED: copies elsewhere since "), seconds=30)
    until(lambda: _says(stack, "no repository was opened yet. Fix: make backup-repo"), seconds=30)
    [password] = re.findall(r"shown this once: (\S+)", open_repository(stack))
    until(lambda: _says(stack, "last copy elsewhere: "), seconds=60)
    until(lambda: _says_not(stack, "FAILED"), seconds=30)
    assert re.search(r"^[0-9a-f]{8}  20\d\d-", stack.run("make", "backup-copies"), re.MULTILINE)

    # In the backups' own folder the marker is found, so it would be in the store.
    search = ("grep", "--recursive", "--quiet", MARKER)
    _succeeds("docker", "exec", stack.container("backup"), *search, "/backups/objects")
    found = subprocess.run(["docker", "exec", elsewhere, *search, "/data"], check=False)
    assert found.returncode == 1

    # What is there cannot be changed by the service that reaches the outside.
    touched = stack.compose("exec", "-T", "backup_offsite", "touch", "/backups/x", check=False)
    assert "Read-only file system" in touched

    before = listed(stack)["backups"]
    stack.settings["BACKUPS"] = str(tmp_path)
    try:
        assert f"Backups here now: {len(before)}." in stack.run("make", "backup-fetch")
        there = listed(stack)["backups"]
        assert [each["id"] for each in there] == [each["id"] for each in before]
        again = stack.run("make", "backup-fetch", check=False)
        assert "error: there is a backup here already" in again
    finally:
        del stack.settings["BACKUPS"]
    # Whoever has the folder restores it: here into a server of its own.
    image = stack.inspect(stack.container("backup"))["Config"]["Image"]
    rights = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID")
    said = stack.run(
        *("docker", "run", "--rm", "--network=none", "--cap-drop=ALL"),
        *(f"--cap-add={right}" for right in rights),
        *(f"--volume={tmp_path}:/backups", image, "rehearse"),
    )
    assert '"ok": true' in said

    refused = open_repository(stack, "another password", check=False)
    assert "error: the password does not open" in refused and "Traceback" not in refused
    assert password not in refused
    # The former one still counts.
    assert "It opens" in open_repository(stack)
    _says_not(stack, "FAILED")


@pytest.mark.long
def test_a_store_that_is_away_is_told_and_comes_back(backups: Stack, elsewhere: str) -> None:
    stack = backups
    stack.compose("stop", "backup_offsite")
    stack.run("docker", "pause", elsewhere)
    try:
        stack.compose("up", "--detach", "--wait", "backup_offsite")
        until(lambda: _says(stack, f"{URL} could not be opened within 60 s"), seconds=120)
    finally:
        stack.run("docker", "unpause", elsewhere)
    until(lambda: _says_not(stack, "FAILED"), seconds=120)


@pytest.mark.long
def test_an_older_copy_comes_back_and_a_fetch_that_was_cut_off_leaves_nothing(
    backups: Stack, elsewhere: str, tmp_path: Path
) -> None:
    stack = backups
    stack.compose("up", "--detach", "--wait", "backup_offsite")
    before = [each["id"] for each in listed(stack)["backups"]]
    first = listed(stack)["status"]["offsite"]["success"]["id"]
    stack.run("make", "backup")
    until(lambda: _differs(stack, first), seconds=60)
    stack.settings["BACKUPS"] = str(tmp_path)
    try:
        process = begin(stack, "fetch")
        until(lambda: _is_there(tmp_path / "scratch/fetched"), seconds=30, every=0.02)
        said = kill(process, signal.SIGINT)
        assert process.returncode and "Traceback" not in said
        assert listed(stack)["backups"] == []
        stack.run("make", "backup-fetch", f"COPY={first}")
        assert [each["id"] for each in listed(stack)["backups"]] == before
    finally:
        del stack.settings["BACKUPS"]


def _differs(stack: Stack, copy: str) -> None:
    assert listed(stack)["status"]["offsite"]["success"]["id"] != copy


def _is_there(path: Path) -> None:
    assert path.exists()


@pytest.mark.long
def test_a_lock_that_was_left_does_not_last_and_old_copies_go(
    backups: Stack, elsewhere: str
) -> None:
    stack = backups
    stack.compose("up", "--detach", "--wait", "backup_offsite")
    until(lambda: _many(stack, 5), seconds=120)
    before = copies(stack)
    # It holds its lock for as long as its input is open; then its container is killed.
    restic = (
        f"set -a; . /run/secrets/environment; RESTIC_REPOSITORY={URL};"
        " RESTIC_PASSWORD_FILE=/run/secrets/password; RESTIC_CACHE_DIR=/tmp/test;"
    )
    inside = ("docker", "exec", stack.container("backup_offsite"), "sh", "-c")
    stack.run(*inside, f"{restic} (sleep 600 | restic backup --quiet --stdin) >/dev/null 2>&1 &")
    seen: Counter[str] = Counter()

    def one_stays() -> None:
        # Those of the service's own copies go within seconds.
        seen.update(stack.run(*inside, f"{restic} restic list locks --no-lock").split())
        assert seen and seen.most_common(1)[0][1] >= 6

    until(one_stays, seconds=60)
    stack.compose("kill", "backup_offsite")
    # The daily check is due.
    results = f"{stack.project}_backup_status"
    image = stack.inspect(stack.container("backup"))["Config"]["Image"]
    remove = ("--entrypoint=rm", f"--volume={results}:/status", image, "/status/offsite.json")
    stack.run("docker", "run", "--rm", *remove)
    stack.compose("up", "--detach", "--wait", "backup_offsite")
    until(lambda: _is_checked(stack), seconds=90)
    stack.compose("stop", "backup_offsite")
    # One of the hour is kept, and of the former hour, if the test has seen its end.
    assert len(set(before) & set(copies(stack))) <= 2


def copies(stack: Stack) -> list[str]:
    """Ids of the copies that are elsewhere."""
    return re.findall(r"^([0-9a-f]{8})  ", stack.run("make", "backup-copies"), re.MULTILINE)


def _many(stack: Stack, least: int) -> None:
    assert len(copies(stack)) >= least


def _is_checked(stack: Stack) -> None:
    check = listed(stack)["status"]["offsite"].get("check")
    assert check and check["error"] == ""

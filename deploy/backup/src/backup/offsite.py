"""Copies of the backups elsewhere: a restic repository, which is always encrypted.

Each copy (restic calls it a snapshot) holds all that the backups' folder has at that moment: base
backups, the log received so far, objects. restic stores each part of a file once. How it ended is
in offsite.json, beside what the metrics exporter reads.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tenacity import retry, retry_if_exception_type, stop_after_attempt

from backup.catalog import Catalog
from backup.errors import BackupError
from backup.making import Say
from backup.results import Results

SECRETS = Path("/run/secrets")
ALIVE = Path("/tmp/alive")  # noqa: S108 - a tmpfs of this container
_CACHE = "/tmp/restic"  # noqa: S108 - the same
# restic's exit codes.
_INCOMPLETE, _NO_REPOSITORY, _LOCKED, _WRONG_PASSWORD = 3, 10, 11, 12
# restic itself goes on for a quarter of an hour, whatever is wrong.
_OPEN_S = 60.0
_RETRYING = re.compile(r"retrying after [^:]*: (.*)")
_FIX = "Fix: make backup-repository"
# What another process is about to write; and a lock.
_LEFT_OUT = ("scratch", ".lock")
_REMOVE_EVERY, _REMOVE_AGAIN = timedelta(days=1), timedelta(hours=1)
# After a failure, and while there is no backup yet.
_AGAIN = timedelta(seconds=60)


class _ResticError(BackupError):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class _ChangedMeanwhile(BackupError):
    pass


class _Ending(Exception):
    pass


@dataclass(frozen=True)
class Repository:
    """Where copies go: ``url`` as restic writes it, such as `s3:https://host/bucket/folder`.

    ``secrets`` holds the file `password`, and `environment` with the variables that restic's
    backend wants, a line `NAME=value` each.
    """

    url: str
    secrets: Path = SECRETS
    # Set while the service ends: a restic that was interrupted says many things.
    ending: threading.Event = field(default_factory=threading.Event)

    def open(self) -> bool:
        """Make sure that it is there and that the password fits; whether it is new."""
        try:
            self._run("cat", "config", "--no-lock", seconds=_OPEN_S)
        except _ResticError as error:
            if error.code != _NO_REPOSITORY:
                raise
            self._run("init", seconds=_OPEN_S)
            return True
        return False

    @retry(
        retry=retry_if_exception_type(_ChangedMeanwhile), stop=stop_after_attempt(5), reraise=True
    )
    def copy(self, root: Path) -> dict[str, Any]:
        """Copy the folder; restic's summary. Raises BackupError."""
        # A process that was killed has left its lock; one of a process that lives stays.
        self._run("unlock", seconds=_OPEN_S)
        left_out = [f"--exclude={root / name}" for name in _LEFT_OUT]
        try:
            said = self._run("backup", "--json", "--host=stack", *left_out, str(root))
        except _ResticError as error:
            if error.code != _INCOMPLETE:
                raise
            # A file was renamed or removed while it was read. Such a copy must not be the newest.
            self._run("forget", _summary(str(error))["snapshot_id"])
            raise _ChangedMeanwhile(
                "files changed while they were copied, again and again. Fix: none is needed; it is"
                " tried again"
            ) from None
        return _summary(said)

    def remove_old(self, keep_days: int) -> None:
        """Remove copies beyond the newest, one an hour of a day and one a day; then check."""
        kept = ("--keep-last=1", "--keep-hourly=24", f"--keep-daily={keep_days}")
        self._run("forget", "--group-by=", *kept, "--prune", "--retry-lock=10m")
        self._run("check", "--retry-lock=10m")

    def copies(self) -> list[dict[str, Any]]:
        """Each copy's `id` and `time`, oldest first."""
        found = json.loads(self._run("snapshots", "--json", "--no-lock", seconds=_OPEN_S))
        return [
            {"id": each["short_id"], "time": each["time"]}
            for each in sorted(found, key=lambda each: str(each["time"]))
        ]

    def fetch(self, root: Path, copy: str, target: Path) -> None:
        """Fill ``target`` with what a copy of ``root`` holds; ``copy`` is an id or `latest`."""
        self._run("cat", "config", "--no-lock", seconds=_OPEN_S)
        self._run("restore", f"{copy}:{root}", f"--target={target}")

    def _run(self, *arguments: str, seconds: float | None = None) -> str:
        if not self.url:
            raise BackupError(
                "BACKUP_REPOSITORY is not set. Fix: such as s3:https://s3.example.com/bucket/folder,"
                " in .env"
            )
        try:
            done = subprocess.run(
                ["restic", "--quiet", *arguments],
                env=self._environment(),
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            # Text was asked for, and bytes come.
            said = (error.stderr or b"").decode(errors="replace")
            reasons = _RETRYING.findall(said) or ["it did not answer"]
            raise BackupError(
                f"{self.url} could not be opened within {seconds:g} s: {reasons[-1]}."
                f" Fix: the address, the network, or the keys (make backup-repository)"
            ) from None
        if done.returncode and self.ending.is_set():
            raise _Ending
        if done.returncode == _INCOMPLETE:
            raise _ResticError(_INCOMPLETE, done.stdout)
        if done.returncode:
            raise _ResticError(done.returncode, self._explained(done.returncode, done.stderr))
        return done.stdout

    def _explained(self, code: int, said: str) -> str:
        if code == _NO_REPOSITORY:
            return f"there is no repository at {self.url}. {_FIX}"
        if code == _WRONG_PASSWORD:
            return f"the password does not open {self.url}. {_FIX}, with the one it was made with"
        if code == _LOCKED:
            return f"{self.url} is locked by another process. Fix: wait"
        lines = [line for line in said.strip().splitlines() if line] or [f"exit code {code}"]
        fatal = ([line for line in lines if "Fatal" in line] or lines)[-1]
        if fatal.startswith("{"):
            fatal = str(json.loads(fatal).get("message", fatal)).splitlines()[0]
        return f"restic: {fatal.removeprefix('Fatal: ')}"

    def _environment(self) -> Mapping[str, str]:
        password = self.secrets / "password"
        if not password.exists():
            raise BackupError(f"no repository was opened yet. {_FIX}")
        lines = (self.secrets / "environment").read_text().splitlines()
        return os.environ | {
            **dict(line.split("=", 1) for line in lines if line),
            "RESTIC_REPOSITORY": self.url,
            "RESTIC_PASSWORD_FILE": str(password),
            "RESTIC_CACHE_DIR": _CACHE,
        }


def _summary(said: str) -> dict[str, Any]:
    """The last message of `restic backup --json`."""
    found: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
    return found


def copy_once(repository: Repository, catalog: Catalog, results: Results) -> None:
    """Copy, and note how it ended. Raises BackupError."""
    began = datetime.now(UTC)
    try:
        made = repository.copy(catalog.root)
    except (BackupError, OSError) as error:
        failing = (results.read().get("failure") or {}).get("since", began.isoformat())
        results.note(failure={"since": failing, "time": began.isoformat(), "error": str(error)})
        raise BackupError(str(error)) from None
    ended = datetime.now(UTC)
    results.note(
        success={
            "id": made["snapshot_id"][:8],
            "time": began.isoformat(),
            "seconds": round((ended - began).total_seconds(), 1),
            "added": made.get("data_added_packed", made["data_added"]),
        },
        failure=None,
    )


def remove_old(repository: Repository, keep_days: int, results: Results) -> None:
    """Once a day, after a failure hourly: old copies go, and all is checked. Raises BackupError."""
    last = results.read().get("check")
    now = datetime.now(UTC)
    pause = _REMOVE_EVERY if last and not last["error"] else _REMOVE_AGAIN
    if last and now - datetime.fromisoformat(last["time"]) < pause:
        return
    try:
        repository.remove_old(keep_days)
    except BackupError as error:
        results.note(check={"time": now.isoformat(), "error": str(error)})
        raise
    results.note(check={"time": now.isoformat(), "error": ""})


def serve(
    repository: Repository,
    catalog: Catalog,
    results: Results,
    every: timedelta,
    keep_days: int,
    say: Say,
) -> None:
    """Copy again and again, until SIGTERM."""
    stop = repository.ending
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    # restic gives its lock back when it is interrupted; killed after the grace, it could not.
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGINT))
    ALIVE.touch()
    said = ""
    while not stop.is_set():
        pause, now = min(every, _AGAIN), ""
        try:
            # Without a backup there is nothing that a copy could be restored from.
            if catalog.backups():
                copy_once(repository, catalog, results)
                remove_old(repository, keep_days, results)
                pause = every
        except BackupError as error:
            now = str(error)
        except _Ending:
            break
        if now != said:
            say(f"error: {now}" if now else "copies are made again")
            said = now
        stop.wait(pause.total_seconds())


def fetch(repository: Repository, catalog: Catalog, copy: str, say: Say) -> int:
    """Bring the backups back into an empty folder; how many there are. Raises BackupError."""
    if found := catalog.backups():
        raise BackupError(
            f"there is a backup here already ({found[-1].id} is the newest of {len(found)});"
            " nothing was changed. Fix: restore from it, or an empty folder as BACKUPS in .env"
        )
    if (catalog.root / "line").exists():
        raise BackupError(
            "the backup service has begun to receive a log here. Fix: make down, then an empty"
            " folder as BACKUPS in .env"
        )
    say(f"Fetching {'the newest copy' if copy == 'latest' else copy} from {repository.url}")
    # Cut off, it leaves nothing that looks like a backup.
    catalog.prepare()
    target = catalog.scratch / "fetched"
    repository.fetch(catalog.root, copy, target)
    # Backups come last: with them all that they need is there.
    for path in sorted(target.iterdir(), key=lambda each: each == target / catalog.base.name):
        path.replace(catalog.root / path.name)
    return len(catalog.backups())

"""Which mode runs in this checkout, and what the embedded one has in place of a task of Docker's.

Run as a program by ``deploy/stackctl/task``, with any Python 3.11: it prints ``embedded`` or
``docker``, the mode that TASK is for. Hence no import beyond the standard library.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
EMBEDDED = "embedded"
DOCKER = "docker"

IN_BOTH = {"down", "logs", "ps", "psql", "retention", "retention-plan", "status"}
_RELOAD = "it runs the code of this checkout. Instead: press Reload in the UI after a change"
_NO_RELEASES = (
    "it runs the code of this checkout and keeps no releases. Instead: git log, git checkout,"
    " then Reload in the UI"
)
_NO_BACKUP = (
    "it makes no backups. Instead: make down, then copy the folder .dev, which holds all data"
)
_NO_LOGIN = "its UI listens on loopback and has no users"
_NO_ALERTS = (
    "it sends no alerts. Instead: make status shows what fails, or a run failure sensor of the code"
    " location sends messages"
)
INSTEAD = {
    "alert-channel": _NO_ALERTS,
    "alert-channel-remove": _NO_ALERTS,
    "alert-test": _NO_ALERTS,
    "alerts-check": _NO_ALERTS,
    "backup": _NO_BACKUP,
    "backups": _NO_BACKUP,
    "backup-copies": _NO_BACKUP,
    "backup-fetch": _NO_BACKUP,
    "backup-repository": _NO_BACKUP,
    "restore": "it makes no backups. Instead: make down, then put a copy of the folder .dev back",
    "restore-rehearse": _NO_BACKUP,
    "build": "it builds no images: make dev installs what the lock files name",
    "deploy": _RELOAD,
    "watch": _RELOAD,
    "diff": f"{_RELOAD}; git diff shows it",
    "releases": _NO_RELEASES,
    "rollback": _NO_RELEASES,
    "sbom": "it has no images. Instead: make audit reads the same lock files",
    "secrets-rotate": (
        "its passwords are files. Instead: make down, delete .dev/secrets/*_password except"
        " postgres_password, make dev"
    ),
    "sso-secret": _NO_LOGIN,
    "upgrade": (
        "it has no control plane of its own. Instead: make down, copy the folder .dev, make dev"
        " of the new checkout, which migrates the data; the copy is the way back"
    ),
    "upgrade-back": "Instead: make down, put the copy of .dev back, make dev of the old checkout",
    "user": _NO_LOGIN,
    "user-remove": _NO_LOGIN,
}
"""Per task that needs Docker: why the embedded mode does not have it, and what to do there."""


class NoModeError(Exception):
    """The task cannot be done in the mode that runs here; says why and what to do instead."""


def embedded_runs(root: Path = ROOT) -> bool:
    """Whether `make dev` holds its lock."""
    try:
        with (root / ".dev" / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def docker_runs(root: Path = ROOT) -> bool:
    """Whether containers run that Compose started from this checkout."""
    label = f"label=com.docker.compose.project.working_dir={root}"
    try:
        listed = subprocess.run(
            ["docker", "ps", "--quiet", "--filter", label],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return False
    return bool(listed.stdout.strip())


def choose(task: str, wanted: str = "", root: Path = ROOT) -> str:
    """EMBEDDED or DOCKER for a task; ``wanted`` is what the user asked for, if anything.

    Raises NoModeError when the task has no form in the mode that runs, and when both run.
    """
    if wanted not in {"", EMBEDDED, DOCKER}:
        raise NoModeError(f"MODE is {wanted[:40]!r}. Fix: MODE={EMBEDDED} or MODE={DOCKER}")
    mode = wanted or _running(task, root)
    if mode == EMBEDDED and task not in IN_BOTH:
        raise NoModeError(f"the embedded mode has no `make {task}`: {INSTEAD[task]}.")
    return mode


def _running(task: str, root: Path) -> str:
    if not embedded_runs(root):
        return DOCKER
    if not docker_runs(root):
        return EMBEDDED
    if task in IN_BOTH:
        raise NoModeError(
            f"both modes run in this checkout. Fix: make {task} MODE={EMBEDDED}, or MODE={DOCKER}"
        )
    return DOCKER


if __name__ == "__main__":
    try:
        print(choose(sys.argv[1], os.environ.get("MODE", "")))
    except NoModeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(3)

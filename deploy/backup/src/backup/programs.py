"""Postgres' own programs, which the image has beside the libraries that they load."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from backup.errors import BackupError

HOME = Path(os.environ.get("POSTGRES_PROGRAMS", "/opt/postgres"))
PASSWORD = Path("/run/secrets/backup_password")
# Owns the data folder, in the postgres image as in this one. Postgres refuses to run as root.
UID = 999


def command(program: str, *arguments: str) -> list[str]:
    """The program's path and its arguments."""
    return [str((HOME / "bin").resolve() / program), *arguments]


def environment() -> Mapping[str, str]:
    """For these programs alone: Python's own libraries may be of other versions."""
    found = os.environ | {"LD_LIBRARY_PATH": str(HOME / "lib")}
    if PASSWORD.exists():
        # Read each time: passwords are rotated while this runs.
        found["PGPASSWORD"] = PASSWORD.read_text().strip()
    return found


def run(program: str, *arguments: str) -> str:
    """What it prints. Raises BackupError with the last line of what it says went wrong."""
    done = subprocess.run(
        command(program, *arguments),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise BackupError(f"{program}: {lines[-1]}")
    return done.stdout

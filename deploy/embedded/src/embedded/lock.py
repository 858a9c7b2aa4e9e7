"""One supervisor per checkout: a lock that the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from control_plane.errors import StackError

from embedded.waiting import wait_until

_ENDING_S = 40.0
# A killed holder's pipes close a moment before the kernel drops its lock.
_DROP_S = 5.0


@contextmanager
def held(path: Path, port: int | None = None, ending: bool = False) -> Iterator[None]:
    """Hold the checkout's lock and note who holds it, and the webserver's port if any.

    A holder that is ``ending`` an earlier stack is waited for, and one that is about to end
    waits a little for the dead supervisor's lock to drop. Raises StackError when
    another process holds it, and when the lock file belongs to another user.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except PermissionError:
        raise StackError(
            f"{path.parent} belongs to another user; start as that user, "
            "or remove it with: sudo make reset"
        ) from None
    with file:
        if ending:
            wait_until(lambda: _try(file), _DROP_S)
        if not wait_until(lambda: _try(file) or not _note(path).get("ending"), _ENDING_S):
            raise StackError(f"an earlier stack has not ended within {_ENDING_S} s")
        if not _try(file):
            raise StackError(_who(path))
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "port": port, "ending": ending}))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def _try(file: TextIO) -> bool:
    """Take the lock; True also when this file holds it already."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder(path: Path) -> tuple[int, int | None] | None:
    """Process id and webserver port of the stack that runs in this checkout; None if none."""
    try:
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return None
    except FileNotFoundError:
        return None
    except BlockingIOError:
        note = _note(path)
        return (note.get("pid") or 0, note.get("port"))


def _note(path: Path) -> dict[str, int | None]:
    try:
        note: dict[str, int | None] = json.loads(path.read_text())
    except (OSError, ValueError):  # just taken, not yet written
        return {}
    return note


def _who(path: Path) -> str:
    note = _note(path)
    where = f" at http://localhost:{note['port']}" if note.get("port") else ""
    process = f" (process {note['pid']})" if note.get("pid") else ""
    return f"this checkout's stack already runs{where}{process}; stop it with: make down"

"""One supervisor per checkout: a lock that the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedded.errors import EmbeddedError


@contextmanager
def held(path: Path, port: int | None = None) -> Iterator[None]:
    """Hold the checkout's lock and note who holds it, and the webserver's port if any.

    Raises EmbeddedError when another process holds it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except PermissionError:
        raise EmbeddedError(
            f"{path.parent} belongs to another user; start as that user, "
            "or remove it with: sudo make reset"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EmbeddedError(_who(path)) from None
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "port": port}))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


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
    return f"this checkout's stack already runs{where}{process}; end that one with Ctrl-C first"

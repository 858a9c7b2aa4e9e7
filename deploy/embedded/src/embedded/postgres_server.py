"""A Postgres server that runs on our data: is it up, whose is it, and its end."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import psutil

from embedded.services import is_alive

_STOP_DEADLINE_S = 20.0
_IMMEDIATE_S = 5.0
_STATUS_LINE = 7  # of postmaster.pid, counted from 0, as pg_ctl reads it


def is_ready(data: Path, pid: int) -> bool:
    """True when the server ``pid`` accepts connections, by what it writes in its lock file."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    is_ours = bool(lines) and lines[0].strip() == str(pid)
    return is_ours and len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready"


def find_server(data: Path) -> psutil.Process | None:
    """The server that runs on ``data``, whoever started it."""
    try:
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        process = psutil.Process(pid)
        if process.name() == "postgres" and Path(process.cwd()) == data.resolve():
            return process
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return None


def stop_server(process: psutil.Process, deadline_s: float = _STOP_DEADLINE_S) -> None:
    """Fast shutdown; immediate (recovered at the next start) when that takes too long."""
    for signal_number, wait_s in (
        (signal.SIGINT, deadline_s),
        (signal.SIGQUIT, _IMMEDIATE_S),
        (signal.SIGKILL, _IMMEDIATE_S),
    ):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            process.send_signal(signal_number)
            process.wait(wait_s)
        if not is_alive(process):
            return


def clear_stray(data: Path) -> bool:
    """End a server that an earlier run left on ``data``; True when there was one.

    A lock file whose pid now belongs to something else would make Postgres refuse to start.
    """
    server = find_server(data)
    if server is not None:
        stop_server(server)
        return True
    with contextlib.suppress(OSError):
        (data / "postmaster.pid").unlink(missing_ok=True)
    return False

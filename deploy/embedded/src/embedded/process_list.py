"""What runs, for `make ps` and `make status`: the supervisor writes it, a command reads it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from embedded.services import is_alive
from embedded.shutdown import run_workers

HEADERS = ("Process", "State", "PID", "Port", "Since (UTC)", "Restarts")


@dataclass(frozen=True)
class Process:
    """One process of the stack; ``started`` and ``due`` (of a restart) in seconds since 1970."""

    name: str
    pid: int
    port: int | None
    started: float
    restarts: int = 0
    due: float | None = None


def write(file: Path, processes: Sequence[Process]) -> None:
    """Replace the list in one step."""
    temporary = file.with_name(f".{file.name}.new")
    temporary.write_text(json.dumps([asdict(process) for process in processes], indent=1))
    temporary.replace(file)


def read(file: Path) -> list[Process]:
    """The list as it was last written; empty when there is none."""
    try:
        return [Process(**entry) for entry in json.loads(file.read_text())]
    except (OSError, ValueError, TypeError):
        return []


def row(process: Process, now: float | None = None) -> tuple[str, ...]:
    """Name, state, pid, port, since when (UTC) and number of restarts, for people."""
    now = time.time() if now is None else now
    since = datetime.fromtimestamp(process.started, UTC)
    port = str(process.port) if process.port else "-"
    if process.due is not None:
        state, pid, when = f"restarts in {max(0, process.due - now):.0f} s", "-", "-"
    else:
        alive = _runs(process.pid)
        state = "running" if alive else "ended"
        pid, when = (str(process.pid), f"{since:%Y-%m-%d %H:%M:%S}") if alive else ("-", "-")
    return process.name, state, pid, port, when, str(process.restarts)


def _runs(pid: int) -> bool:
    try:
        return is_alive(psutil.Process(pid))
    except psutil.Error:
        return False


def runs(code_servers: Sequence[Process]) -> list[Process]:
    """The processes of the runs that these code servers have started."""
    found = []
    for server in code_servers:
        try:
            workers = run_workers(psutil.Process(server.pid))
            found += [
                Process(f"run of {server.name}", worker.pid, None, worker.create_time())
                for worker in workers
            ]
        except psutil.Error:
            continue
    return found

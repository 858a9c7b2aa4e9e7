"""Finding and ending processes of the stack by the mark in their environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

# Every process of the stack carries this in its environment.
MARK = "EMBEDDED_STACK"

_TERMINATE_S = 8.0
_KILL_S = 5.0
_ROUNDS = 5


def mark(data: Path, run_id: str) -> str:
    """The value of MARK for one run of the stack whose data is in ``data``."""
    return f"{data}#{run_id}"


def find(data: Path, run_id: str = "") -> list[psutil.Process]:
    """Processes of the stack with ``data``: of one run of it, or of any when not given."""
    prefix = mark(data, run_id)
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            value = process.environ().get(MARK, "")
        except (psutil.Error, OSError):  # not ours to read, or just ended
            continue
        if value.startswith(prefix):
            found.append(process)
    return found


def end(processes: Iterable[psutil.Process], patience_s: float = _TERMINATE_S) -> None:
    """SIGTERM, then after ``patience_s`` SIGKILL, and wait until they are gone."""
    alive = list(processes)
    for process in alive:
        _quietly(process.terminate)
    _, alive = psutil.wait_procs(alive, timeout=patience_s)
    for process in alive:
        _quietly(process.kill)
    psutil.wait_procs(alive, timeout=_KILL_S)


def sweep(data: Path, run_id: str = "", patience_s: float = _TERMINATE_S) -> int:
    """End all that `find` finds, and what those have started meanwhile; how many it was."""
    ended = 0
    for _ in range(_ROUNDS):
        found = find(data, run_id)
        if not found:
            break
        end(found, patience_s)
        ended += len(found)
    return ended


def _quietly(action: Callable[[], object]) -> None:
    try:
        action()
    except psutil.Error:
        return

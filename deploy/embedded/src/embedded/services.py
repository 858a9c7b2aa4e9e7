"""A long-running process of the stack: start with a log file of its own, stop with its tree."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from control_plane.errors import StackError

from embedded.account import Account

_KEPT_LOGS = 3


@dataclass(frozen=True)
class Service:
    """What to run. ``name`` is also the log's: ``<logs>/<name>.log``; messages say ``title``."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    account: Account | None = None
    title: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or self.name)


@dataclass
class Running:
    """A started service."""

    service: Service
    process: psutil.Popen
    started: float = field(default_factory=time.monotonic)

    @property
    def name(self) -> str:
        return self.service.name

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    @property
    def age_s(self) -> float:
        return time.monotonic() - self.started

    def descendants(self) -> list[psutil.Process]:
        """Its children, grandchildren and so on, nearest first."""
        with contextlib.suppress(psutil.Error):
            return list(self.process.children(recursive=True))
        return []


def start(service: Service) -> Running:
    """Start it in a session of its own: the terminal's Ctrl-C reaches the supervisor alone.

    Raises StackError when its program or its log file cannot be opened.
    """
    account = service.account
    try:
        with service.log.open("ab") as log:
            process = psutil.Popen(
                list(service.command),
                env=dict(service.environment),
                cwd=service.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
    except OSError as error:
        raise StackError(
            f"{service.name} cannot be started: {error.filename}: {error.strerror}"
        ) from None
    return Running(service, process)


def rotate(log: Path) -> None:
    """Begin a new log; the last few are kept as ``<name>.log.1`` and so on."""
    for number in range(_KEPT_LOGS, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        newer = log if number == 1 else log.with_name(f"{log.name}.{number - 1}")
        if newer.exists():
            newer.replace(older)


def tail(log: Path, lines: int = 5) -> str:
    """The last non-empty lines of a log, or nothing when there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 16384))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def ask_to_end(running: Running, signal_number: int = signal.SIGTERM) -> None:
    """Send a signal to the service's own process, if it still is there."""
    with contextlib.suppress(psutil.Error):
        running.process.send_signal(signal_number)


def command_line(process: psutil.Process) -> str:
    """Its command line; empty when it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def is_alive(process: psutil.Process) -> bool:
    """Whether it still is there, and no zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False

"""The service: receives the write-ahead log, and makes backups and rehearsals when it is time."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from croniter import croniter

from backup import making, wal
from backup.catalog import Catalog
from backup.errors import BackupError

RECEIVING = Path("/tmp/receiving")  # noqa: S108 - a tmpfs of this container
_SAID = Path("/tmp/receiving.log")  # noqa: S108 - the same
_LOOK_EVERY_S = 1.0
_RECEIVE_AGAIN_S = 5.0


@dataclass(frozen=True)
class Schedules:
    """When to do what: cron expressions in UTC."""

    backup: str
    rehearsal: str

    def check(self) -> None:
        """Raise BackupError for one that is none."""
        for name, text in (
            ("BACKUP_SCHEDULE", self.backup),
            ("BACKUP_REHEARSAL_SCHEDULE", self.rehearsal),
        ):
            if not croniter.is_valid(text):
                raise BackupError(
                    f"{name} is {text!r}: not a cron expression. Fix: such as '30 1 * * *' in .env"
                )


def serve(catalog: Catalog, data: Path, keep: int, schedules: Schedules, say: making.Say) -> None:
    """Serve until SIGTERM."""
    schedules.check()
    catalog.prepare()
    if not (catalog.root / "line").exists():
        catalog.begin_line(datetime.now(UTC))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    receiver = Receiver(catalog, say)

    def back_up() -> None:
        backup = making.back_up(catalog, data, keep, say)
        say(f"backup {backup.id}: {backup.size / 1e6:,.1f} MB")

    def rehearse() -> None:
        found = making.rehearse(catalog, say)
        say(f"rehearsal of {found['backup']}: {found['tables']} tables, {found['rows']} rows")

    due = _Due(schedules)
    while not stop.wait(_LOOK_EVERY_S):
        receiver.keep_going()
        if receiver.is_receiving:
            # A line that begins has no base backup that leads to its moments.
            if due.backup() or not any(each.line == catalog.line for each in catalog.backups()):
                _work(catalog, back_up, say)
            if due.rehearsal():
                _work(catalog, rehearse, say)
    receiver.end()


def _work(catalog: Catalog, what: Callable[[], object], say: making.Say) -> None:
    """Do it; what goes wrong is said, and the service goes on."""
    try:
        with making.alone(catalog):
            what()
    except BackupError as error:
        say(f"error: {error}")


class Receiver:
    """pg_receivewal, begun again whenever it has ended."""

    def __init__(self, catalog: Catalog, say: making.Say) -> None:
        self._catalog = catalog
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._next = datetime.now(UTC).timestamp()

    @property
    def is_receiving(self) -> bool:
        """Whether the log is received now."""
        return self._process is not None and self._process.poll() is None

    def keep_going(self) -> None:
        """Begin, unless it goes on or has just failed."""
        if self.is_receiving:
            RECEIVING.touch()
            return
        self._look_at_end()
        now = datetime.now(UTC).timestamp()
        if now < self._next:
            return
        self._next = now + _RECEIVE_AGAIN_S
        try:
            self._process = wal.receive(self._catalog.wal / self._catalog.line, _SAID)
        except BackupError as error:
            self._say(f"the log is not received: {error}")

    def _look_at_end(self) -> None:
        RECEIVING.unlink(missing_ok=True)
        if self._process is None:
            return
        self._process = None
        said = _SAID.read_text().strip()
        self._say(f"the log is not received: {said.splitlines()[-1] if said else 'no reason'}")
        if wal.has_hole(said):
            # The service was away for too long. What comes now continues nothing.
            self._say("the received log has a hole, so a new line begins, with a backup")
            wal.forget()
            self._catalog.begin_line(datetime.now(UTC))

    def end(self) -> None:
        """End it; what was received is on disk."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


class _Due:
    """Which schedule has struck since it was asked."""

    def __init__(self, schedules: Schedules) -> None:
        now = datetime.now(UTC)
        self._backup = croniter(schedules.backup, now)
        self._rehearsal = croniter(schedules.rehearsal, now)
        self._next_backup = self._backup.get_next(datetime)
        self._next_rehearsal = self._rehearsal.get_next(datetime)

    def backup(self) -> bool:
        is_due = datetime.now(UTC) >= self._next_backup
        if is_due:
            self._next_backup = self._backup.get_next(datetime, start_time=datetime.now(UTC))
        return is_due

    def rehearsal(self) -> bool:
        is_due = datetime.now(UTC) >= self._next_rehearsal
        if is_due:
            self._next_rehearsal = self._rehearsal.get_next(datetime, start_time=datetime.now(UTC))
        return is_due

"""The service: receives the write-ahead log, and makes backups and rehearsals when it is time."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
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
_AFTER_FAILURE_S = 60.0


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

    backups, rehearsals = _Schedule(schedules.backup), _Schedule(schedules.rehearsal)
    # A line that begins has no base backup that leads to its moments.
    first = _Pause(_AFTER_FAILURE_S)
    while not stop.wait(_LOOK_EVERY_S):
        receiver.keep_going()
        if receiver.is_receiving:
            begins = all(each.line != catalog.line for each in catalog.backups())
            if backups.has_struck() or (begins and first.is_over()):
                _work(catalog, back_up, say)
            if rehearsals.has_struck():
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
        self._pause = _Pause(_RECEIVE_AGAIN_S)

    @property
    def is_receiving(self) -> bool:
        """Whether the log is received now.

        Before a line's first file is there, its slot keeps nothing: the checkpoint of a backup
        would remove what the receiver is about to ask for.
        """
        return self._is_alive and any((self._catalog.wal / self._catalog.line).iterdir())

    @property
    def _is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def keep_going(self) -> None:
        """Begin, unless it goes on or has just failed."""
        if self._is_alive:
            if self.is_receiving:
                RECEIVING.touch()
            return
        self._look_at_end()
        if not self._pause.is_over():
            return
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


class _Pause:
    """Between tries of something that may fail again."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = 0.0

    def is_over(self) -> bool:
        """Whether it is time for a try; then the next pause begins."""
        if time.monotonic() < self._end:
            return False
        self._end = time.monotonic() + self._seconds
        return True


class _Schedule:
    """A cron expression, in UTC."""

    def __init__(self, text: str) -> None:
        self._times = croniter(text, datetime.now(UTC))
        self._next: datetime = self._times.get_next(datetime)

    def has_struck(self) -> bool:
        """Whether one of its times has come since this was asked last."""
        now = datetime.now(UTC)
        if now < self._next:
            return False
        self._next = self._times.get_next(datetime, start_time=now)
        return True

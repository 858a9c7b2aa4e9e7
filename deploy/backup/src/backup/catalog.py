"""Which backups there are, which one a moment needs, and which ones are to go."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backup import programs
from backup.errors import BackupError

ID = re.compile(r"\d{8}T\d{6}Z")
_FORMAT = "%Y%m%dT%H%M%SZ"
_RECORD = "backup.json"


@dataclass(frozen=True)
class Backup:
    """A complete base backup: it can be restored to any moment from ``ended`` on.

    ``size`` is in bytes, as is ``unpacked``, that of the data folder; ``line`` names the folder of
    its write-ahead log, ``wal_from`` the file there that recovery begins with.
    """

    id: str
    line: str
    started: datetime
    ended: datetime
    size: int
    unpacked: int
    wal_from: str
    postgres: str


def new_id(now: datetime) -> str:
    """The name of a backup that begins now."""
    return now.astimezone(UTC).strftime(_FORMAT)


def parse_time(text: str) -> datetime:
    """An ISO 8601 time, UTC unless it says otherwise. Raises BackupError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BackupError(
            f"AT is {text!r}: not an ISO 8601 time. Fix: such as AT=2026-11-27T01:30:00 (UTC)"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class Catalog:
    """The folder with all backups."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base = root / "base"
        self.wal = root / "wal"
        self.objects = root / "objects"
        self.scratch = root / "scratch"

    def prepare(self) -> None:
        """Make the folders; what a backup that was cut off has left is removed."""
        # Postgres' user reads its log, and works in the scratch folder; nothing else here is open.
        self.root.chmod(0o711)
        for folder, mode in (
            *((self.base, 0o700), (self.objects, 0o700)),
            *((self.wal, 0o711), (self.scratch, 0o711)),
        ):
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)
        cut_off = [path for path in self.base.iterdir() if not (path / _RECORD).exists()]
        for folder in (*cut_off, *self.scratch.iterdir()):
            shutil.rmtree(folder)

    def folder(self, backup_id: str) -> Path:
        """Where a backup is, or will be."""
        return self.base / backup_id

    def record(self, backup: Backup) -> None:
        """Make a backup complete: without its record, it is none."""
        entry = asdict(backup) | {
            "started": backup.started.isoformat(),
            "ended": backup.ended.isoformat(),
        }
        write_json(self.folder(backup.id) / _RECORD, entry)

    def backups(self) -> list[Backup]:
        """The complete ones, oldest first."""
        found = []
        for path in sorted(self.base.glob(f"*/{_RECORD}")):
            entry: dict[str, Any] = json.loads(path.read_text())
            for name in ("started", "ended"):
                entry[name] = datetime.fromisoformat(entry[name])
            found.append(Backup(**entry))
        return found

    @property
    def line(self) -> str:
        """The line that is being written."""
        return (self.root / "line").read_text().strip()

    def begin_line(self, now: datetime) -> None:
        """What is written from now on does not continue the log that is there."""
        name = new_id(now)
        (self.wal / name).mkdir(mode=0o700)
        os.chown(self.wal / name, programs.UID, programs.UID)
        new = self.root / ".line.new"
        new.write_text(name + "\n")
        new.replace(self.root / "line")

    def reaches(self, backup: Backup) -> datetime:
        """The last moment that the backup can be restored to: when WAL was received last."""
        folder = self.wal / backup.line
        times = [path.stat().st_mtime for path in folder.iterdir()] if folder.exists() else []
        until = datetime.fromtimestamp(max(times, default=0), UTC)
        return max(until, backup.ended)

    def choose(self, backup_id: str | None, at: datetime | None) -> Backup:
        """The backup to restore: the named one, or the newest that ended before ``at``.

        Raises BackupError where there is none, or where it does not lead to ``at``.
        """
        known = self.backups()
        if not known:
            raise BackupError("there is no backup. Fix: make backup")
        if backup_id is not None:
            found = [backup for backup in known if backup.id == backup_id]
            if not found:
                there = ", ".join(backup.id for backup in known)
                raise BackupError(f"BACKUP is {backup_id!r}: there is none. There are: {there}")
        else:
            found = [backup for backup in known if at is None or backup.ended <= at] or known[:1]
        chosen = found[-1]
        if at is not None and not chosen.ended <= at <= self.reaches(chosen):
            raise BackupError(
                f"AT is {at.isoformat()}: backup {chosen.id} leads to moments from"
                f" {chosen.ended.isoformat()} to {self.reaches(chosen).isoformat()}."
                " Fix: one of these, or another BACKUP (make backups)"
            )
        return chosen

    def prune(self, keep: int) -> list[str]:
        """Remove all but the ``keep`` newest, and what only those needed; the ids that went."""
        known = self.backups()
        gone = known[:-keep] if keep < len(known) else []
        for backup in gone:
            # First the record: what is cut off here is not a backup any more.
            (self.folder(backup.id) / _RECORD).unlink()
            shutil.rmtree(self.folder(backup.id))
        left = known[len(gone) :]
        for folder in self.wal.iterdir():
            of_line = [backup.wal_from for backup in left if backup.line == folder.name]
            if of_line:
                _prune_wal(folder, of_line[0])
            elif folder.name != self.line:
                shutil.rmtree(folder)
        listed = {name for backup in left for name in self.objects_of(backup.id).values()}
        for path in self.objects.iterdir():
            if path.name not in listed:
                path.unlink()
        return [backup.id for backup in gone]

    def objects_of(self, backup_id: str) -> dict[str, str]:
        """`bucket/key` of each object of a backup, and its name in ``objects``."""
        path = self.folder(backup_id) / "objects.json"
        found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        return found


def _prune_wal(folder: Path, first: str) -> None:
    # Within a line, the names are in the order of the log: 8 digits of the timeline come first.
    for path in folder.iterdir():
        name = path.name.partition(".")[0]
        if len(name) == len(first) and name[8:] < first[8:]:
            path.unlink()


def write_json(path: Path, content: Any) -> None:
    """Replace a file in one step: it is never seen half written."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(json.dumps(content, indent=2) + "\n")
    new.replace(path)

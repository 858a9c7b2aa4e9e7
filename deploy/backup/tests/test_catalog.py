"""Which backup a moment needs, and what goes when there are too many."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backup import programs
from backup.catalog import Backup, Catalog, new_id, parse_time, write_json
from backup.errors import BackupError

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "UID", os.geteuid())


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    found = Catalog(tmp_path)
    found.prepare()
    found.begin_line(NOON)
    return found


def add(catalog: Catalog, hours: float, wal_from: str, objects: tuple[str, ...] = ()) -> Backup:
    """A backup of so many hours after noon, that took a minute."""
    started = NOON + timedelta(hours=hours)
    backup = Backup(
        *(new_id(started), catalog.line, started, started + timedelta(minutes=1)),
        *(10, 100, wal_from, "17.6"),
    )
    catalog.folder(backup.id).mkdir()
    write_json(catalog.folder(backup.id) / "objects.json", {f"landing/{o}": o for o in objects})
    for name in objects:
        (catalog.objects / name).touch()
    catalog.record(backup)
    return backup


def receive(catalog: Catalog, name: str, hours: float) -> Path:
    """A file of WAL that was written so many hours after noon."""
    path = catalog.wal / catalog.line / name
    path.touch()
    time = (NOON + timedelta(hours=hours)).timestamp()
    os.utime(path, (time, time))
    return path


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def test_the_newest_that_ended_before(catalog: Catalog) -> None:
    first, second = add(catalog, 0, "0" * 24), add(catalog, 2, "0" * 24)
    receive(catalog, "0" * 24, 4)
    assert catalog.choose(None, None) == second
    assert catalog.choose(None, at(1)) == first
    # It was under way at this moment.
    assert catalog.choose(None, at(2.01)) == first
    assert catalog.choose(first.id, at(3)) == first
    assert catalog.choose(first.id, None) == first


@pytest.mark.parametrize(
    ("backup_id", "hours", "words"),
    [
        (None, -1, "leads to moments from 2026-11-27T12:01:00"),
        (None, 5, "to 2026-11-27T16:00:00"),
        ("20261127T140000Z", 1, "leads to moments from 2026-11-27T14:01:00"),
        ("x", None, "BACKUP is 'x': there is none. There are: 20261127T120000Z, 20261127T1400"),
    ],
)
def test_what_cannot_be_reached(
    catalog: Catalog, backup_id: str | None, hours: float | None, words: str
) -> None:
    add(catalog, 0, "0" * 24)
    add(catalog, 2, "0" * 24)
    receive(catalog, "0" * 24, 4)
    with pytest.raises(BackupError, match=words.replace("+", r"\+")):
        catalog.choose(backup_id, None if hours is None else at(hours))


def test_without_any(catalog: Catalog) -> None:
    with pytest.raises(BackupError, match=r"there is no backup\. Fix: make backup"):
        catalog.choose(None, None)


def test_a_restore_begins_a_line_and_the_former_one_can_still_be_reached(catalog: Catalog) -> None:
    """Restored at 15:00 to 13:00: what was written from 13:00 to 15:00 is in the former line."""
    first = add(catalog, 0, "0" * 24)
    receive(catalog, "0" * 24, 3)
    catalog.begin_line(at(3))
    second = add(catalog, 3.1, "0" * 24)
    receive(catalog, "0" * 24, 4)
    assert catalog.choose(None, at(2)) == first
    assert catalog.choose(None, at(3.5)) == second
    # After the former line has ended, and before the first backup of the present one.
    with pytest.raises(BackupError, match=f"backup {first.id} leads to"):
        catalog.choose(None, at(3.05))


def test_what_goes(catalog: Catalog) -> None:
    segments = [f"{1:08X}{0:08X}{number:08X}" for number in range(4)]
    for number in range(4):
        add(catalog, number, segments[number], (f"only{number}", "all"))
        receive(catalog, f"{segments[number]}.gz", number)
    history = receive(catalog, "00000002.history", 0)
    gone = catalog.prune(2)
    assert gone == ["20261127T120000Z", "20261127T130000Z"]
    assert [each.id for each in catalog.backups()] == ["20261127T140000Z", "20261127T150000Z"]
    left = sorted(path.name for path in (catalog.wal / catalog.line).iterdir())
    assert left == [f"{segments[2]}.gz", f"{segments[3]}.gz", history.name]
    assert sorted(path.name for path in catalog.objects.iterdir()) == ["all", "only2", "only3"]
    assert catalog.prune(2) == []


def test_a_line_goes_with_its_last_backup(catalog: Catalog) -> None:
    add(catalog, 0, "0" * 24)
    former = catalog.line
    catalog.begin_line(at(1))
    add(catalog, 2, "0" * 24)
    catalog.prune(2)
    assert (catalog.wal / former).is_dir()
    catalog.prune(1)
    assert not (catalog.wal / former).exists()
    assert (catalog.wal / catalog.line).is_dir()


def test_what_was_cut_off_is_no_backup(catalog: Catalog) -> None:
    kept = add(catalog, 0, "0" * 24)
    (catalog.base / new_id(at(1)) / "postgres").mkdir(parents=True)
    assert catalog.backups() == [kept]
    catalog.prepare()
    assert [path.name for path in catalog.base.iterdir()] == [kept.id]


def test_times() -> None:
    assert parse_time("2026-11-27T12:00:00") == NOON
    assert parse_time("2026-11-27T13:00:00+01:00") == NOON
    with pytest.raises(BackupError, match=r"AT is 'noon': not an ISO 8601 time\. Fix: "):
        parse_time("noon")

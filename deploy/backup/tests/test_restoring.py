"""A server is backed up while it is written to, and restored to a moment."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import Postgres, needs_root

from backup import making, recovery, service, wal
from backup.catalog import Backup, Catalog
from backup.errors import BackupError

pytestmark = needs_root
SAID: list[str] = []


@contextmanager
def receiving(catalog: Catalog) -> Iterator[None]:
    process = wal.receive(catalog.wal / catalog.line, catalog.root / "said")
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def data(folder: Path) -> Path:
    """What is backed up beside the databases."""
    found = folder / "data"
    (found / "secrets").mkdir(parents=True)
    (found / "secrets" / "postgres_password").write_text("of-the-test")
    (found / "releases" / "elt").mkdir(parents=True)
    (found / "releases" / "elt" / "1.json").write_text("{}")
    return found


@pytest.fixture
def backup(postgres: Postgres, catalog: Catalog, data: Path) -> Iterator[Backup]:
    catalog.prepare()
    catalog.begin_line(datetime.now(UTC))
    postgres.sql("CREATE TABLE marks AS SELECT 0 AS n")
    with receiving(catalog):
        yield making.back_up(catalog, data, 7, SAID.append)


def received(catalog: Catalog, postgres: Postgres) -> None:
    """Wait until all that is written is here."""
    [(position,)] = postgres.sql("SELECT pg_current_wal_lsn()")
    deadline = time.monotonic() + 30
    question = f"SELECT flush_lsn >= '{position}' FROM pg_stat_replication"
    while postgres.sql(question) != [(True,)]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def restored(
    catalog: Catalog, backup: Backup, at: datetime | None, folder: Path
) -> list[tuple[int]]:
    target = folder / "restored"
    target.mkdir()
    recovery.unpack(catalog, backup, target)
    with (
        recovery.recovered(catalog, backup, at, target) as server,
        server.connect("postgres") as cursor,
    ):
        cursor.execute("SELECT n FROM marks ORDER BY 1")
        return list(cursor.fetchall())


def test_to_a_moment(postgres: Postgres, catalog: Catalog, backup: Backup, folder: Path) -> None:
    postgres.sql("INSERT INTO marks VALUES (1)")
    [(moment,)] = postgres.sql("SELECT clock_timestamp()")
    postgres.sql("INSERT INTO marks VALUES (2)")
    received(catalog, postgres)
    assert restored(catalog, backup, moment, folder) == [(0,), (1,)]


def test_to_the_end_of_what_was_received(
    postgres: Postgres, catalog: Catalog, backup: Backup, folder: Path
) -> None:
    """Whole segments and the one that is being written."""
    postgres.sql("INSERT INTO marks VALUES (1)")
    postgres.sql("SELECT pg_switch_wal()")
    postgres.sql("INSERT INTO marks VALUES (2)")
    received(catalog, postgres)
    assert restored(catalog, backup, None, folder) == [(0,), (1,), (2,)]


def test_a_log_with_a_hole_is_no_silent_loss(
    postgres: Postgres, catalog: Catalog, backup: Backup, folder: Path
) -> None:
    postgres.sql("SELECT pg_switch_wal()")
    postgres.sql("INSERT INTO marks VALUES (1)")
    [(moment,)] = postgres.sql("SELECT clock_timestamp()")
    postgres.sql("SELECT pg_switch_wal()")
    postgres.sql("INSERT INTO marks VALUES (2)")
    received(catalog, postgres)
    segments = sorted((catalog.wal / catalog.line).glob("*.gz"))
    segments[-1].unlink()
    with pytest.raises(BackupError, match=r"recovery failed: .*before configured recovery target"):
        restored(catalog, backup, moment, folder)


def test_a_rehearsal_says_what_it_read_and_leaves_nothing(
    postgres: Postgres, catalog: Catalog, backup: Backup
) -> None:
    found = making.rehearse(catalog, SAID.append)
    assert found["ok"] and (found["tables"], found["rows"]) == (1, 1)
    assert making.status(catalog)["rehearsal"] == found
    assert list(catalog.scratch.iterdir()) == []


def test_a_damaged_backup_fails_its_rehearsal(
    postgres: Postgres, catalog: Catalog, backup: Backup
) -> None:
    archive = catalog.folder(backup.id) / "postgres" / "base.tar.gz"
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(BackupError, match=f"backup {backup.id} is damaged"):
        making.rehearse(catalog, SAID.append)
    assert not making.status(catalog)["rehearsal"]["ok"]


def test_a_restore_keeps_what_was_there_and_files_that_are_newer(
    postgres: Postgres, catalog: Catalog, backup: Backup, data: Path, folder: Path
) -> None:
    target, aside = data / "postgres", folder / "aside"
    target.mkdir()
    aside.mkdir()
    (target / "PG_VERSION").write_text("of the former server")
    (data / "secrets" / "postgres_password").write_text("rotated since")
    (data / "releases" / "elt" / "1.json").unlink()
    rows = making.restore(catalog, backup, None, data, aside, SAID.append)
    assert rows == {"postgres.public.marks": 1}
    assert (aside / "PG_VERSION").read_text() == "of the former server"
    assert (data / "secrets" / "postgres_password").read_text() == "rotated since"
    assert (data / "releases" / "elt" / "1.json").read_text() == "{}"
    # A later start recovers nothing any more.
    assert not (target / "recovery.signal").exists()
    making.put_back(catalog, aside, target, SAID.append)
    assert [path.name for path in target.iterdir()] == ["PG_VERSION"]
    assert (target / "PG_VERSION").read_text() == "of the former server"
    # One whose copying was cut off leads nowhere.
    (aside / ".copied").unlink()
    with pytest.raises(BackupError, match="has no whole copy"):
        making.put_back(catalog, aside, target, SAID.append)
    assert (target / "PG_VERSION").exists()


def test_one_at_a_time(catalog: Catalog) -> None:
    with (
        making.alone(catalog),
        pytest.raises(BackupError, match="another backup or rehearsal is under way"),
        making.alone(catalog),
    ):
        pass


def test_a_failure_is_remembered(
    postgres: Postgres, catalog: Catalog, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.prepare()
    catalog.begin_line(datetime.now(UTC))
    monkeypatch.setenv("PGPORT", "1")
    with pytest.raises(BackupError, match=r"pg_basebackup: .*[Cc]onnection"):
        making.back_up(catalog, data, 7, SAID.append)
    assert "pg_basebackup" in making.status(catalog)["last_failure"]["error"]
    assert list(catalog.base.iterdir()) == []


def test_a_new_line_is_received_once_its_first_file_is_there(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the first backup's checkpoint may remove what the receiver begins with."""
    monkeypatch.setattr(service, "RECEIVING", catalog.root / "receiving")
    # A receiver that has been started and has not connected yet.
    monkeypatch.setattr(wal, "receive", lambda _folder, _log: subprocess.Popen(["sleep", "60"]))
    catalog.prepare()
    catalog.begin_line(datetime.now(UTC))
    receiver = service.Receiver(catalog, SAID.append)
    for _ in range(2):
        receiver.keep_going()
        assert not receiver.is_receiving and not service.RECEIVING.exists()
    (catalog.wal / catalog.line / "000000010000000000000001.gz.partial").touch()
    receiver.keep_going()
    assert receiver.is_receiving and service.RECEIVING.exists()
    receiver.end()


def test_a_service_that_was_away_for_too_long_begins_a_new_line(
    postgres: Postgres, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_SAID", catalog.root / "said")
    monkeypatch.setattr(service, "RECEIVING", catalog.root / "receiving")
    monkeypatch.setattr(service, "_RECEIVE_AGAIN_S", 0.2)
    catalog.prepare()
    catalog.begin_line(datetime(2026, 1, 1, tzinfo=UTC))
    postgres.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
    postgres.sql("SELECT pg_reload_conf()")
    postgres.sql("CREATE TABLE marks AS SELECT 0 AS n")
    with receiving(catalog):
        received(catalog, postgres)
    for _ in range(3):
        postgres.sql("INSERT INTO marks VALUES (1)")
        postgres.sql("SELECT pg_switch_wal()")
        postgres.sql("CHECKPOINT")
    receiver = service.Receiver(catalog, SAID.append)
    deadline = time.monotonic() + 30
    while catalog.line == "20260101T000000Z" or not receiver.is_receiving:
        assert time.monotonic() < deadline, SAID
        receiver.keep_going()
        time.sleep(0.05)
    received(catalog, postgres)
    receiver.end()
    assert any("has a hole" in line for line in SAID)

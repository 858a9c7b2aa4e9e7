"""One backup, and one rehearsal of its restore."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from backup import copies, programs, recovery
from backup.catalog import Backup, Catalog, new_id, write_json
from backup.errors import BackupError
from backup.results import Results

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# A volume that the metrics exporter mounts, and that holds nothing else.
SHOWN = Path("/status")
Say = Callable[[str], None]
# Beside data that were kept aside, once all of them are.
_COPIED = ".copied"


@contextmanager
def alone(catalog: Catalog) -> Iterator[None]:
    """One at a time. Raises BackupError while another works."""
    with (catalog.root / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError("another backup or rehearsal is under way. Fix: wait") from None
        yield


def store(secrets: Path) -> S3Client | None:
    """The stack's own object store; None without OBJECT_STORE."""
    endpoint = os.environ.get("OBJECT_STORE")
    if not endpoint:
        return None
    found: S3Client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=(secrets / "object_store_access_key").read_text().strip(),
        aws_secret_access_key=(secrets / "object_store_secret_key").read_text().strip(),
        config=Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard"}),
    )
    return found


def back_up(catalog: Catalog, data: Path, keep: int, say: Say) -> Backup:
    """Make a backup, then remove those beyond ``keep``. Its result is in status.json."""
    started = datetime.now(UTC)
    try:
        backup = _back_up(catalog, data, started, say)
    except (BackupError, OSError, BotoCoreError, ClientError) as error:
        note(catalog, last_failure={"time": started.isoformat(), "error": str(error)})
        raise BackupError(str(error)) from None
    note(
        catalog,
        last_success={
            "id": backup.id,
            "ended": backup.ended.isoformat(),
            "seconds": round((backup.ended - started).total_seconds(), 1),
            "size": backup.size,
        },
        last_failure=None,
    )
    for gone in catalog.prune(keep):
        say(f"removed {gone}: {keep} are kept")
    return backup


def _back_up(catalog: Catalog, data: Path, started: datetime, say: Say) -> Backup:
    backup_id = new_id(started)
    folder = catalog.folder(backup_id)
    folder.mkdir(mode=0o700)
    try:
        say("Copying Postgres")
        programs.run(
            "pg_basebackup",
            f"--pgdata={folder / 'postgres'}",
            "--format=tar",
            "--gzip",
            "--compress=1",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--manifest-checksums=SHA256",
            f"--label={backup_id}",
        )
        names = copies.pack_folders(data, folder / "files")
        say(f"Copied files of {len(names)} volumes: {', '.join(names)}")
        client = store(data / "secrets")
        if client is not None:
            say(f"Listed {copies.copy_objects(client, catalog, backup_id)} objects")
        manifest: dict[str, Any] = json.loads((folder / "postgres" / "backup_manifest").read_text())
        [log, *_] = manifest["WAL-Ranges"]
        backup = Backup(
            id=backup_id,
            line=catalog.line,
            started=started,
            ended=datetime.now(UTC),
            size=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
            unpacked=sum(file["Size"] for file in manifest["Files"]),
            wal_from=_segment(log["Timeline"], log["Start-LSN"]),
            postgres=programs.run("postgres", "--version").split()[2],
        )
    except BaseException:
        shutil.rmtree(folder)
        raise
    catalog.record(backup)
    return backup


def _segment(timeline: int, lsn: str) -> str:
    """The name of the WAL file with this position: such as 1, `0/2000028`."""
    high, low = (int(part, 16) for part in lsn.split("/"))
    return f"{timeline:08X}{high:08X}{low >> 24:08X}"


def rehearse(catalog: Catalog, say: Say) -> dict[str, Any]:
    """Restore the newest backup to its end in a server of its own, and read every table.

    Nothing of the stack is touched. What was found is in status.json.
    """
    backup = catalog.choose(None, None)
    begun = time.monotonic()
    found: dict[str, Any] = {"backup": backup.id, "time": datetime.now(UTC).isoformat()}
    try:
        with tempfile.TemporaryDirectory(dir=catalog.scratch, prefix="rehearsal-") as name:
            _check_space(Path(name), backup.unpacked)
            say(f"Restoring {backup.id} into a server of its own")
            Path(name).chmod(0o711)
            data = Path(name) / "data"
            data.mkdir()
            recovery.unpack(catalog, backup, data)
            with recovery.recovered(catalog, backup, None, data) as server:
                rows = server.count()
        found |= {"ok": True, "tables": len(rows), "rows": sum(rows.values())}
        if not rows:
            raise BackupError(f"{backup.id} was restored, and holds no table")
    except BackupError as error:
        found |= {"ok": False, "error": str(error)}
        raise
    finally:
        found["seconds"] = round(time.monotonic() - begun, 1)
        note(catalog, rehearsal=found)
    return found


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed * 1.1:
        raise BackupError(
            f"{folder} has {free / 1e6:,.0f} MB free, and the data take {needed / 1e6:,.0f} MB."
            " Fix: free disk space"
        )


def restore(
    catalog: Catalog, backup: Backup, at: datetime | None, data: Path, aside: Path | None, say: Say
) -> dict[str, int]:
    """Restore Postgres, and what is missing in the other volumes; rows of each table.

    ``data`` has a folder for each volume, `postgres` among them. What that holds is copied to
    ``aside`` first. The superuser's password becomes that of the volume `secrets`.
    """
    target = data / "postgres"
    check_restore(backup, target, aside)
    if aside is not None and any(target.iterdir()):
        say("Copying the present data aside")
        _copy(target, aside)
        (aside / _COPIED).touch()
    for name, count in copies.unpack_folders(catalog.folder(backup.id) / "files", data).items():
        say(f"Put back {count} files that were missing in {name}")
    password = (data / "secrets" / "postgres_password").read_text().strip()
    say(f"Unpacking {backup.id}")
    recovery.empty(target)
    recovery.unpack(catalog, backup, target)
    say(f"Recovering to {at.isoformat() if at else 'the end of the log'}")
    with recovery.recovered(catalog, backup, at, target) as server:
        server.set_password(password)
        rows = server.count()
    return rows


def put_back(catalog: Catalog, aside: Path, target: Path, say: Say) -> None:
    """Make what a restore has kept ``aside`` Postgres' data again; a new line begins."""
    if not (aside / _COPIED).exists():
        raise BackupError(
            "that volume has no whole copy of the data: the copying was cut off, and the data were"
            " not touched. Fix: make up"
        )
    say("Putting the former data back")
    recovery.empty(target)
    _copy(aside, target)
    (target / _COPIED).unlink()
    catalog.begin_line(datetime.now(UTC))


def check_restore(backup: Backup, target: Path, aside: Path | None) -> None:
    """Raise BackupError when there is no room for it, or another server's data folder in use."""
    if (target / "postmaster.pid").exists() and not aside:
        raise BackupError("Postgres runs on these data. Fix: make down")
    present = sum(path.lstat().st_size for path in target.rglob("*") if path.is_file())
    _check_space(target, max(backup.unpacked - present, 0) + (present if aside else 0))


def _copy(source: Path, target: Path) -> None:
    """All that is in a folder, each with its owner."""
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, copy_function=_copy_owned)
    for parent, _, _ in os.walk(source):
        status = Path(parent).stat()
        os.chown(target / Path(parent).relative_to(source), status.st_uid, status.st_gid)


def _copy_owned(source: str, target: str) -> None:
    shutil.copy2(source, target, follow_symlinks=False)
    status = os.lstat(source)
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)


def note(catalog: Catalog, **entries: Any) -> None:
    """Change entries of status.json, and show times and results to the metrics exporter."""
    now = _results(catalog).note(**entries)
    if SHOWN.is_dir():
        success, failure, rehearsal = (
            now.get(name) or {} for name in ("last_success", "last_failure", "rehearsal")
        )
        shown = {"last_success": success.get("ended"), "last_failure": failure.get("time")}
        shown |= {"rehearsal": rehearsal.get("time"), "rehearsal_ok": rehearsal.get("ok")}
        write_json(SHOWN / "status.json", shown)


def status(catalog: Catalog) -> dict[str, Any]:
    """What status.json says; empty before the first backup."""
    return _results(catalog).read()


def _results(catalog: Catalog) -> Results:
    return Results(catalog.root / "status.json")

"""A base backup and its write-ahead log, made a data folder that a server can begin with."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from backup import programs
from backup.catalog import Backup, Catalog
from backup.errors import BackupError

# Hours of WAL are read at some 100 MB a second.
_LONGEST_RECOVERY_S = 6 * 3600
_SUPERUSER = "postgres"


def unpack(catalog: Catalog, backup: Backup, data: Path) -> None:
    """Fill the empty folder ``data`` with the base backup. Raises BackupError."""
    source = catalog.folder(backup.id) / "postgres"
    for name, target in (("base", data), ("pg_wal", data / "pg_wal")):
        try:
            with tarfile.open(source / f"{name}.tar.gz") as archive:
                archive.extractall(target, filter="tar")
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise BackupError(
                f"backup {backup.id} is damaged: {name}.tar.gz: {error}. Fix: another BACKUP"
            ) from None
    (data / "recovery.signal").touch()
    for path in (data, *data.rglob("*")):
        os.chown(path, programs.UID, programs.UID, follow_symlinks=False)
    data.chmod(0o700)


@contextmanager
def recovered(
    catalog: Catalog, backup: Backup, at: datetime | None, data: Path
) -> Iterator[Server]:
    """A server on ``data`` that has come to ``at``, or to the end; ended cleanly afterwards.

    It listens on a socket that nobody else can open. Raises BackupError with the server's words.
    """
    with tempfile.TemporaryDirectory(prefix="recovery-") as name:
        folder = Path(name)
        os.chown(folder, programs.UID, programs.UID)
        access = folder / "hba.conf"
        access.write_text("local all all trust\n")
        access.chmod(0o644)
        log = folder / "log"
        wal = catalog.wal / backup.line
        # Python has libraries of its own.
        fetch = f"env -u LD_LIBRARY_PATH {sys.executable} -m backup.wal {wal} %f %p"
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": name,
            "hba_file": str(access),
            "restore_command": fetch,
            "recovery_target_timeline": "latest" if at is None else "current",
            "recovery_target_action": "promote",
            # Or it would ask for the former server's configuration, which is not part of the data.
            "hot_standby": "off",
            "archive_mode": "off",
        }
        if at is not None:
            settings["recovery_target_time"] = at.isoformat()
        options = [f"-c{key}={value}" for key, value in settings.items()]
        with log.open("w") as output:
            process = subprocess.Popen(
                programs.command("postgres", "-D", str(data), *options),
                env=programs.environment(),
                user=programs.UID,
                group=programs.UID,
                extra_groups=[],
                stdout=output,
                stderr=output,
            )
            try:
                server = Server(folder)
                _await(server, process, log)
                yield server
            finally:
                # Fast: sessions end, everything is written.
                process.send_signal(signal.SIGINT)
                process.wait()


class Server:
    """A recovered server, on a socket in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def connect(self, database: str) -> Iterator[Any]:
        """A superuser's cursor; commits at the end."""
        connection = psycopg2.connect(host=str(self._folder), user=_SUPERUSER, dbname=database)
        with closing(connection), connection, connection.cursor() as cursor:
            yield cursor

    def set_password(self, password: str) -> None:
        """Of the superuser: the stack's secrets may be newer than the data."""
        with self.connect("postgres") as cursor:
            verifier = encrypt_password(password, _SUPERUSER, cursor.connection, "scram-sha-256")
            cursor.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                    sql.Identifier(_SUPERUSER), sql.Literal(verifier)
                )
            )

    def count(self) -> dict[str, int]:
        """Rows of each table of each database, by `database.schema.table`; each row is read."""
        with self.connect("postgres") as cursor:
            cursor.execute("SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1")
            databases = [name for (name,) in cursor.fetchall()]
        rows = {}
        for database in databases:
            with self.connect(database) as cursor:
                cursor.execute(
                    "SELECT schemaname, tablename FROM pg_tables"
                    " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
                )
                for schema, table in cursor.fetchall():
                    name = sql.Identifier(schema, table)
                    cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(name))
                    rows[f"{database}.{schema}.{table}"] = cursor.fetchone()[0]
        return rows


class _NotYet(Exception):
    pass


@retry(
    retry=retry_if_exception_type(_NotYet),
    wait=wait_fixed(0.5),
    stop=stop_after_delay(_LONGEST_RECOVERY_S),
    reraise=True,
)
def _await(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    if process.poll() is not None:
        said = [line for line in log.read_text().splitlines() if "FATAL" in line or "PANIC" in line]
        raise BackupError(f"recovery failed: {(said or ['the server ended'])[-1]}")
    try:
        with server.connect("postgres") as cursor:
            cursor.execute("SELECT pg_is_in_recovery()")
            if cursor.fetchone() != (False,):
                raise _NotYet
    except psycopg2.OperationalError:
        raise _NotYet from None


def empty(folder: Path) -> None:
    """Remove what is in a folder, which may be where a volume is mounted."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

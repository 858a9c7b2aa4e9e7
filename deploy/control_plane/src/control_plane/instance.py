"""Dagster's own storage: its schema and its pools are made by Dagster's own commands.

The commands get an instance that is storage alone, so that the rest of dagster.yaml may change
without a new migration.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import version
from pathlib import Path

import yaml

from control_plane.database import CONTROL_ROLE, INSTANCE_DATABASE, Server, connect
from control_plane.errors import StackError

# A row of Dagster's own table of keys and values.
_MIGRATED_BY = "stack/migrated-by"


def migrate_instance(server: Server, password: str) -> None:
    """Run ``dagster instance migrate`` as the control plane's role, once per Dagster release.

    Compose runs this at each `up`, and the command costs 3 s of CPU when there is nothing to do.
    Which release has migrated is written into the database itself, so a backup carries it along.
    """
    release = version("dagster")
    if _migrated_by(server) == release:
        return
    _dagster_instance(server, password, "migrate")
    with connect(server, INSTANCE_DATABASE) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO kvs (key, value) VALUES (%s, %s)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (_MIGRATED_BY, release),
        )


def _migrated_by(server: Server) -> str | None:
    """The Dagster release that migrated the storage last; None before the first one."""
    with connect(server, INSTANCE_DATABASE) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('kvs')")
        if cursor.fetchone() == (None,):
            return None
        cursor.execute("SELECT value FROM kvs WHERE key = %s", (_MIGRATED_BY,))
        row = cursor.fetchone()
        return str(row[0]) if row else None


def set_missing_pool_limits(server: Server, password: str, pools: Path) -> None:
    """Give pools their limits from a TOML file of ``name = limit``; limits that were set stay.

    Raises StackError for a file that is none of that kind.
    """
    limits = read_limits(pools)
    with connect(server, INSTANCE_DATABASE) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT concurrency_key FROM concurrency_limits WHERE NOT using_default_limit"
        )
        present = {name for (name,) in cursor.fetchall()}
    for name, limit in limits.items():
        if name not in present:
            _dagster_instance(server, password, "concurrency", "set", name, str(limit))


def read_limits(pools: Path) -> dict[str, int]:
    """Limits by pool; none when there is no such file. Raises StackError."""
    try:
        limits = tomllib.loads(pools.read_text())
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise StackError(f"{pools}: {error}") from None
    for name, limit in limits.items():
        if type(limit) is not int or limit < 1:
            raise StackError(f"{pools}: pool {name} has the limit {limit!r}, not a number from 1")
    return limits


def _dagster_instance(server: Server, password: str, *command: str) -> None:
    database = {
        "hostname": server.host,
        "port": server.port,
        "db_name": INSTANCE_DATABASE,
        "username": CONTROL_ROLE,
        "password": {"env": "MIGRATION_PASSWORD"},
    }
    storage = {
        "storage": {"postgres": {"postgres_db": database}},
        "telemetry": {"enabled": False},
    }
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "dagster.yaml").write_text(yaml.safe_dump(storage))
        done = subprocess.run(
            [sys.executable, "-m", "dagster", "instance", *command],
            env=os.environ | {"DAGSTER_HOME": home, "MIGRATION_PASSWORD": password},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        reason = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        said = " ".join(command)
        raise StackError(f"dagster instance {said} ended with {done.returncode}: {reason}")

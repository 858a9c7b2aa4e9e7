"""Dagster's own storage: its schema is made and migrated by Dagster's own command.

The command gets an instance that is storage alone, so that the rest of dagster.yaml may change
without a new migration.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from control_plane.database import CONTROL_ROLE, INSTANCE_DATABASE, Server
from control_plane.errors import StackError


def migrate_instance(server: Server, password: str) -> None:
    """Run ``dagster instance migrate`` as the control plane's role."""
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
            [sys.executable, "-m", "dagster", "instance", "migrate"],
            env=os.environ | {"DAGSTER_HOME": home, "MIGRATION_PASSWORD": password},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        reason = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise StackError(f"dagster instance migrate ended with {done.returncode}: {reason}")

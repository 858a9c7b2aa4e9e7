"""Dagster's own storage: its schema is made and migrated by Dagster's own command."""

from __future__ import annotations

import os
import subprocess
import sys

from control_plane.database import CONTROL_ROLE, INSTANCE_DATABASE, Server
from control_plane.errors import StackError


def migrate_instance(server: Server, password: str) -> None:
    """Run ``dagster instance migrate`` as the control plane's role."""
    environment = {
        "DAGSTER_POSTGRES_HOST": server.host,
        "DAGSTER_POSTGRES_PORT": str(server.port),
        "DAGSTER_POSTGRES_DB": INSTANCE_DATABASE,
        "DAGSTER_POSTGRES_USER": CONTROL_ROLE,
        "DAGSTER_POSTGRES_PASSWORD": password,
    }
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "instance", "migrate"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise StackError(f"dagster instance migrate ended with {done.returncode}: {reason}")

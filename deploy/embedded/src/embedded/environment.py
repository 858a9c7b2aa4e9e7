"""The environment of each process; a location sees its own password and no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from control_plane import secrets
from control_plane.database import CONTROL_ROLE
from control_plane.retention.rules import SETTINGS as RETENTION_SETTINGS

from embedded.leftovers import MARK, mark
from embedded.locations import Location
from embedded.settings import Paths

# What a developer's shell may hold for another instance, database or environment.
_FOREIGN_PREFIXES = ("DAGSTER_", "WAREHOUSE_", "POSTGRES_", "PG")
_FOREIGN = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "LANDING_ZONE"}


@dataclass(frozen=True)
class Environments:
    """Builds environments for one run of the stack."""

    paths: Paths
    settings: Mapping[str, str]
    shell: Mapping[str, str]
    run_id: str
    postgres_port: int

    def base(self) -> dict[str, str]:
        """The user's shell without what would leak into the stack; holds no secret of it."""
        inherited = {
            name: value
            for name, value in self.shell.items()
            if name not in _FOREIGN and not name.startswith(_FOREIGN_PREFIXES)
        }
        return {
            **inherited,
            MARK: mark(self.paths.data, self.run_id),
            "DAGSTER_HOME": str(self.paths.dagster_home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "PYTHONUNBUFFERED": "1",
        }

    def migrate(self) -> dict[str, str]:
        """For `control-plane migrate`, which reads the passwords from their files."""
        return {
            **self.control_plane(),
            "POSTGRES_HOST": "127.0.0.1",
            "POSTGRES_PORT": str(self.postgres_port),
        }

    def control_plane(self) -> dict[str, str]:
        """For webserver, daemon and the control plane's commands."""
        return {
            **self.base(),
            **self._instance(CONTROL_ROLE, CONTROL_ROLE),
            # A backfill waits while its location is away, as in docker-compose.yml.
            "DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR": "1",
            **self._retention(),
        }

    def _retention(self) -> dict[str, str]:
        """What old history is, and the files of it, which the daemon removes here."""
        chosen = {name: value for name in RETENTION_SETTINGS if (value := self.settings.get(name))}
        return {
            **chosen,
            "RETENTION_FILES": str(self.paths.run_files),
            "RETENTION_STORAGE_ROOT": str(self.paths.data / "storage"),
        }

    def location(self, location: Location) -> dict[str, str]:
        """For the location's code server, from which its runs inherit."""
        values = {
            name: value.format(data=self.paths.data, data_uri=self.paths.data.as_uri())
            for name, value in location.environment.items()
        }
        # An empty line in .env means "not set", as in docker compose's ${NAME:-default}.
        chosen = {
            name: value
            for name, setting in location.settings.items()
            if (value := self.settings.get(setting))
        }
        return {
            **self.base(),
            **self._instance(location.name, location.name),
            "WAREHOUSE_HOST": "127.0.0.1",
            "WAREHOUSE_PORT": str(self.postgres_port),
            "WAREHOUSE_DB": "warehouse",
            "WAREHOUSE_USER": location.name,
            "WAREHOUSE_PASSWORD": self._password(location.name),
            **values,
            **chosen,
        }

    def _instance(self, role: str, storage: str) -> dict[str, str]:
        return {
            "DAGSTER_POSTGRES_HOST": "127.0.0.1",
            "DAGSTER_POSTGRES_PORT": str(self.postgres_port),
            "DAGSTER_POSTGRES_DB": "dagster",
            "DAGSTER_POSTGRES_USER": role,
            "DAGSTER_POSTGRES_PASSWORD": self._password(role),
            "DAGSTER_STORAGE_DIR": str(self.paths.data / "storage" / storage),
            "DAGSTER_COMPUTE_LOGS_DIR": str(self.paths.data / "compute_logs"),
        }

    def _password(self, role: str) -> str:
        return secrets.read(self.paths.secrets, f"{role}_password")

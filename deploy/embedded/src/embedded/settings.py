"""Where things are and what the user has set (``.env``, overridden by the shell)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from control_plane.errors import StackError
from dotenv import dotenv_values

DEFAULT_WEBSERVER_PORT = 3000


@dataclass(frozen=True)
class Paths:
    """Every file and folder of the embedded mode, from the repository's root."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / ".dev"

    @property
    def lock(self) -> Path:
        return self.data / "lock"

    @property
    def processes(self) -> Path:
        """The list of what runs."""
        return self.data / "processes.json"

    @property
    def secrets(self) -> Path:
        return self.data / "secrets"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def dagster_home(self) -> Path:
        return self.data / "dagster_home"

    @property
    def workspace(self) -> Path:
        return self.data / "workspace.yaml"

    @property
    def project(self) -> Path:
        return self.root / "deploy" / "embedded"

    @property
    def sql(self) -> Path:
        return self.root / "deploy" / "postgres"

    @property
    def install(self) -> Path:
        return self.project / "install"

    @property
    def dbt_parse(self) -> Path:
        return self.root / "deploy" / "code_location" / "dbt-parse"

    @property
    def run_files(self) -> Path:
        """Removes the files of removed runs."""
        return self.root / "deploy" / "code_location" / "run_files.py"

    @property
    def binaries(self) -> Path:
        """Console scripts of the environment that the supervisor itself runs in."""
        return self.project / ".venv" / "bin"


def repository() -> Paths:
    """The checkout that contains this package."""
    return Paths(Path(__file__).resolve().parents[4])


def read_settings(root: Path, shell: Mapping[str, str] | None = None) -> dict[str, str]:
    """Settings of ``.env``; what the shell sets wins, as with docker compose."""
    shell = os.environ if shell is None else shell
    file = root / ".env"
    from_file = dotenv_values(file) if file.is_file() else {}
    settings = {name: value for name, value in from_file.items() if value is not None}
    return {**settings, **shell}


def path_prefix(settings: Mapping[str, str]) -> str:
    """WEB_PATH_PREFIX, under which the UI is served; "" for none, raises StackError for no path."""
    text = settings.get("WEB_PATH_PREFIX") or ""
    if text and not re.fullmatch(r"(/[A-Za-z0-9_-]+)+", text):
        raise StackError(
            f"WEB_PATH_PREFIX is {text!r}; it must be a path like /dagster, without a final slash"
        )
    return text


def webserver_port(settings: Mapping[str, str]) -> int:
    """WEBSERVER_PORT as a number; raises StackError when it is not a usable port."""
    text = settings.get("WEBSERVER_PORT") or str(DEFAULT_WEBSERVER_PORT)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise StackError(f"WEBSERVER_PORT is {text!r}; it must be a number from 1 to 65535")
    return int(text)

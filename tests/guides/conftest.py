"""A folder in which a reader brings existing projects into this repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
PROJECTS = ("acme-pipelines", "northwind-pipelines", "contoso-data", "shop-dbt")
UNTRACKED = shutil.ignore_patterns(".venv", "__pycache__", ".*_cache", "*.egg-info", "build")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the sample projects and, beside them, this repository."""
    for project in PROJECTS:
        shutil.copytree(HERE / project, tmp_path / project, ignore=UNTRACKED)
    repository = tmp_path / "dagster-stack"
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        if (REPOSITORY / name).is_file():
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, repository / name)
    # uv itself is there already: this test runs by it.
    (repository / ".tools").symlink_to(REPOSITORY / ".tools")
    return tmp_path


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No telemetry, no instance of the user's, and none of the project's settings."""
    for name in [name for name in os.environ if name.startswith("DAGSTER_")]:
        monkeypatch.delenv(name)
    for name in ("SHOP_URL", "SHOP_TOKEN", "ACME_WAREHOUSE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "yes")
    # Tables are not cut.
    monkeypatch.setenv("COLUMNS", "200")
    # The environments are new: what the first command has compiled, the other ones read.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    # A stack that does not run: the guide's location is files alone.
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "guide-of-tests")
    monkeypatch.setenv("DG_CLI_CONFIG", str(tmp_path / "dg.toml"))

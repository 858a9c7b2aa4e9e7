"""docs/existing-project.md turns a project of the older layout into a location that is the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from guide import follow

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
GUIDE = REPOSITORY / "docs/existing-project.md"
UNTRACKED = shutil.ignore_patterns(".venv", "__pycache__", ".*_cache", "*.egg-info", "build")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the sample project and, beside it, this repository."""
    shutil.copytree(HERE / "acme-pipelines", tmp_path / "acme-pipelines", ignore=UNTRACKED)
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
    # The environments are new: what the first command has compiled, the other ones read.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    # A stack that does not run: the guide's location is files alone.
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "guide-of-tests")
    monkeypatch.setenv("DG_CLI_CONFIG", str(tmp_path / "dg.toml"))


def names(stock: dict[str, Any], kind: str, key: str = "name") -> set[str]:
    return {one[key] for one in stock[kind]}


def test_the_guide_keeps_what_the_project_defines(folder: Path) -> None:
    repository = folder / "dagster-stack"
    said = follow(GUIDE, repository)
    before, after = (
        json.loads((folder / f"acme-{when}.json").read_text()) for when in ("before", "after")
    )
    assert after == before
    # Not equal for being empty: this is what the sample holds.
    assert names(before, "assets", "asset_key") == {
        "exchange_rates",
        "orders",
        "products",
        "reports/reorder",
        "revenue",
        "suppliers",
    }
    assert {asset["group_name"] for asset in before["assets"]} == {"sales"}
    assert names(before, "jobs") == {"daily_sales_job", "refresh_catalog_job", "reorder_job"}
    assert len(before["schedules"]) == 2
    assert names(before, "sensors") == {"reorder_sensor"}
    assert names(before, "resources") == {"shop", "warehouse"}
    assert names(before, "asset_checks") == {"products_have_prices"}
    # Its own tests, in both places, and the check of the definitions.
    assert said.count("4 passed") == 2
    assert "All definitions loaded successfully" in said
    # It is a location of the stack's layout, not the old one in another place.
    source = repository / "code_locations/acme/src/acme"
    assert "load_from_defs_folder" in (source / "definitions.py").read_text()
    assert not (source / "assets.py").exists()
    assert (source / "defs/sales/assets.py").exists()
    assert not list((source / "defs/assets").glob("*_days.py"))

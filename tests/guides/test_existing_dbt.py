"""docs/existing-dbt.md brings a dbt project in, inside a location and as a submodule."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from guide import follow

GUIDE = Path(__file__).resolve().parents[2] / "docs/existing-dbt.md"
ADDRESS = "https://git.example.com/data/shop-dbt.git"


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def repository_of_dbt(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The dbt project with its connection, committed; and git that may clone from a folder."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "reader")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "reader@example.invalid")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "protocol.file.allow")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "always")
    project = folder / "remote/shop-dbt.git"
    shutil.copytree(folder / "shop-dbt", project)
    text = GUIDE.read_text()
    profile = text.partition("`code_locations/shop/dbt/profiles.yml`:\n\n```yaml\n")[2]
    (project / "profiles.yml").write_text(profile.partition("```")[0])
    git(project, "init", "--quiet")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "-m", "all")
    return project


def test_the_project_is_loaded_in_both_places(folder: Path, repository_of_dbt: Path) -> None:
    repository = folder / "dagster-stack"
    git(repository, "init", "--quiet")
    said = follow(GUIDE, repository, replace={ADDRESS: str(repository_of_dbt)})
    assert "Traceback" not in said
    location = repository / "code_locations/shop"
    assert (location / "dbt/.git").is_file()
    manifest = json.loads((location / "dbt/target/manifest.json").read_text())
    assert {"model.shop.sales", "model.shop.revenue"} <= set(manifest["nodes"])

from pathlib import Path

import pytest

from embedded import manifests
from embedded.locations import Location
from embedded.settings import repository

# Stands in for a location's dbt, and says what it was asked.
DBT = """#!/bin/sh
echo "$@" >asked
[ -e dbt_project.yml ] && grep -q whole dbt_project.yml && touch target/manifest.json
"""


def location(folder: Path, project: str) -> Location:
    (folder / "dbt" / "target").mkdir(parents=True)
    (folder / "dbt" / "dbt_project.yml").write_text(project)
    dbt = folder / ".venv" / "bin" / "dbt"
    dbt.parent.mkdir(parents=True)
    dbt.write_text(DBT)
    dbt.chmod(0o755)
    return Location(folder.name, folder, f"{folder.name}.definitions")


def test_a_broken_project_is_named_and_holds_up_no_other(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plain = Location("plain", tmp_path, "plain.definitions")
    broken = location(tmp_path / "broken", "name: ]")
    whole = location(tmp_path / "whole", "name: whole")
    manifests.make(repository().dbt_parse, [plain, broken, whole])
    assert "parse" in (whole.folder / "dbt" / "asked").read_text().split()
    assert (whole.folder / "dbt" / "target" / "manifest.json").exists()
    said = " ".join("".join(capfd.readouterr()).split())
    assert "the dbt project of broken cannot be parsed" in said
    assert "project of whole cannot" not in said
    assert "project of plain" not in said

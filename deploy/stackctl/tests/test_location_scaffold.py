"""The new folder: what is in it, and whether somebody has worked there."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from stackctl import packages
from stackctl.errors import StackctlError
from stackctl.location import scaffold
from stackctl.location.files import Project


def test_it_is_complete_and_named(project: Project) -> None:
    folder = project.folder("eu_sales")
    scaffold.make(folder, "eu_sales")
    for path in (
        *("definitions.py", "defs/assets/eu_sales_days.py", "defs/jobs/refresh_eu_sales.py"),
        "defs/resources.py",
    ):
        assert (folder / "src" / "eu_sales" / path).is_file(), path
    assert list((folder / "tests").glob("test_*.py"))
    assert tomllib.loads((folder / "pyproject.toml").read_text())["project"]["name"] == "eu_sales"
    assert not [path for path in folder.rglob("*") if "__name__" in path.name]
    assert "__name__" not in "".join(scaffold.render("eu_sales").values())


def test_its_lock_has_the_versions_of_the_others(project: Project) -> None:
    folder = project.folder("eu_sales")
    scaffold.make(folder, "eu_sales")
    text = (folder / "uv.lock").read_text()
    assert 'name = "eu-sales"' in text
    assert 'editable = "../../packages/location_kit"' in text
    other = next(project.root.glob("code_locations/*/uv.lock")).read_text()
    version = r'name = "dagster"\nversion = "([^"]+)"'
    assert re.findall(version, text) == re.findall(version, other) != []


def test_without_a_network_it_says_where_it_is_made(project: Project) -> None:
    wheels = project.root / "deploy/wheels"
    wheels.mkdir()
    (wheels / "pip.conf").touch()
    folder = project.folder("eu_sales")
    with pytest.raises(StackctlError, match=r"Fix: where .* network, make location NAME=eu_sales"):
        scaffold.make(folder, "eu_sales")
    assert not folder.exists()


def test_with_the_loader_it_has_a_table_a_sample_and_the_sensor(project: Project) -> None:
    folder = project.folder("eu_sales")
    scaffold.make(folder, "eu_sales", loader=True)
    source = folder / "src" / "eu_sales"
    for path in (
        *(
            "tables.py",
            "sample_data/__main__.py",
            "defs/assets/tables.py",
            "defs/sensors/landing_zone.py",
        ),
        *("defs/data/eu_sales_items.csv", "defs/resources.py", "defs/jobs/refresh_eu_sales.py"),
    ):
        assert (source / path).is_file(), path
    assert not list(folder.rglob("*days*"))
    assert "__name__" not in "".join(scaffold.render("eu_sales", loader=True).values())
    declared = tomllib.loads((folder / "pyproject.toml").read_text())
    assert "postgres_loader" in declared["project"]["dependencies"]
    assert "postgres_loader" in declared["tool"]["uv"]["sources"]
    lock = (folder / "uv.lock").read_text()
    assert packages.used(lock) == ["location_kit", "postgres_loader"]
    elt = (project.folder("elt") / "uv.lock").read_text()
    version = r'name = "(?:dagster|pyarrow|boto3)"\nversion = "([^"]+)"'
    assert re.findall(version, lock) == re.findall(version, elt) != []
    assert scaffold.work_in(folder, "eu_sales") == []


@pytest.mark.skipif(os.environ.get("SOAK") != "full", reason="makes an environment: make soak")
@pytest.mark.parametrize("loader", [False, True], ids=["plain", "loader"])
def test_its_own_tests_and_checks_pass(project: Project, loader: bool, tmp_path: Path) -> None:
    folder = project.folder("eu_sales")
    scaffold.make(folder, "eu_sales", loader=loader)
    # As root, the tests' Postgres is started by a user who must be able to read the environment;
    # above a test's own folder, pytest lets nobody else in, and sees to it whenever it starts.
    for above in (tmp_path, *list(tmp_path.parents)[:2]):
        above.chmod(0o755)
    for command in (
        ["pytest", "-q", f"--basetemp={tmp_path / 'pytest'}"],
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
    ):
        done = subprocess.run(
            [project.root / "deploy/tools/uv", "run", "--frozen", *command],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-9000:]}{done.stderr[-2000:]}"


def test_nothing_stays_of_a_folder_that_cannot_be_made(project: Project) -> None:
    (project.root / "deploy" / "tools").unlink()
    with pytest.raises((StackctlError, OSError)):
        scaffold.make(project.folder("marketing"), "marketing")
    assert not project.folder("marketing").exists()


def test_work_is_what_the_template_did_not_make(project: Project) -> None:
    folder = project.folder("marketing")
    scaffold.make(folder, "marketing")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "python").touch()
    (folder / "src" / "marketing" / "__pycache__").mkdir()
    assert scaffold.work_in(folder, "marketing") == []
    (folder / "src" / "marketing" / "days.py").write_text("changed")
    (folder / "notes.md").touch()
    (folder / "tests" / "test_days.py").unlink()
    assert scaffold.work_in(folder, "marketing") == [
        "notes.md",
        "src/marketing/days.py",
        "tests/test_days.py",
    ]

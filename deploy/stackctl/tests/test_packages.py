"""Which shared packages a lock file names: for stackctl, and for an image's build."""

from __future__ import annotations

import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from stackctl import packages
from stackctl.docker import ROOT

USED_PACKAGES = ROOT / "deploy/code_location/used-packages"
LOCK = """
[[package]]
name = "one"
source = { editable = "." }

[[package]]
name = "requests"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "the-kit"
source = { editable = "../../packages/kit" }

[[package]]
name = "other"
source = { directory = "../../packages/other" }
"""


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(USED_PACKAGES), "uv.lock", "packages", "app"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("kit/src/kit", "other/src/other", "other/tests", "unused/src/unused"):
        (tmp_path / "packages" / name).mkdir(parents=True)
        (tmp_path / "packages" / name / "__init__.py").touch()
    (tmp_path / "uv.lock").write_text(LOCK)
    return tmp_path


def test_a_lock_file_names_the_packages_that_are_used() -> None:
    assert packages.used(LOCK) == ["kit", "other"]
    assert packages.used("version = 1\n") == []


@pytest.mark.parametrize("name", ["elt", "analytics"])
def test_both_readers_of_lock_files_agree(name: str) -> None:
    lock = (ROOT / "code_locations" / name / "uv.lock").read_text()
    assert "location_kit" in packages.used(lock)
    assert runpy.run_path(str(USED_PACKAGES))["used"](lock) == packages.used(lock)


def test_an_image_has_the_modules_of_these_packages_alone(folder: Path) -> None:
    done = build(folder)
    assert done.returncode == 0, done.stderr
    found = {str(path.relative_to(folder / "app")) for path in (folder / "app").rglob("*.py")}
    assert found == {"kit/__init__.py", "other/__init__.py"}


def test_a_location_without_packages_gets_an_empty_folder(folder: Path) -> None:
    (folder / "uv.lock").write_text(LOCK.replace("packages/", "elsewhere/"))
    assert build(folder).returncode == 0
    assert list((folder / "app").iterdir()) == []


def test_two_packages_with_one_module_are_refused(folder: Path) -> None:
    (folder / "packages/other/src/kit").mkdir()
    done = build(folder)
    assert done.returncode == 1
    assert "packages/other: another package has kit, too" in done.stderr


def test_a_package_that_is_not_there_is_named(folder: Path) -> None:
    (folder / "uv.lock").write_text(LOCK.replace("packages/kit", "packages/gone"))
    done = build(folder)
    assert done.returncode == 1
    assert "packages/gone" in done.stderr


def versions(lock: Path) -> dict[str, set[str]]:
    """What a lock file pins, by name."""
    found: dict[str, set[str]] = {}
    for package in tomllib.loads(lock.read_text())["package"]:
        if "registry" in package["source"]:
            found.setdefault(package["name"], set()).add(package["version"])
    return found


PACKAGES = sorted(path.parent.name for path in ROOT.glob("packages/*/uv.lock"))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_tested_with_versions_that_it_is_used_with(package: str) -> None:
    named = f'editable = "../../packages/{package}"'
    users = [lock for lock in ROOT.glob("[!p]*/*/uv.lock") if named in lock.read_text()]
    assert users
    used: dict[str, set[str]] = {}
    for lock in users:
        for name, pinned in versions(lock).items():
            used.setdefault(name, set()).update(pinned)
    own = versions(ROOT / "packages" / package / "uv.lock")
    others = {name: (own[name], used[name]) for name in own.keys() & used if own[name] - used[name]}
    assert others == {}, "fix, in the package's folder: uv lock --upgrade-package NAME==VERSION"

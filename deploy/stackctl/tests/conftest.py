"""The repository's own files, copied where a test may change them."""

import gc
import shutil
from pathlib import Path

import pytest

from stackctl.docker import ROOT
from stackctl.location.files import Project

FILES = (
    *("docker-compose.yml", "workspace.yaml", "dg.toml", ".env.example"),
    "deploy/embedded/locations.toml",
)

# While tests are imported, no garbage is looked for: it is a tenth of their CPU time.
gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage from now on, and not in what was imported."""
    gc.freeze()
    gc.enable()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A copy of what names the code locations, with their lock files."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for lock in ROOT.glob("code_locations/*/uv.lock"):
        folder = tmp_path / "code_locations" / lock.parent.name
        folder.mkdir(parents=True)
        shutil.copy(lock, folder)
    (tmp_path / "packages").symlink_to(ROOT / "packages")
    (tmp_path / "deploy" / "tools").symlink_to(ROOT / "deploy" / "tools")
    # Or each copy would install uv for itself, 15 s of CPU.
    if (ROOT / ".tools").is_dir():
        (tmp_path / ".tools").symlink_to(ROOT / ".tools")
    return Project.read(tmp_path)

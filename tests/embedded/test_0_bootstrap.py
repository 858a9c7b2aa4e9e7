"""deploy/tools/uv where something is missing: one clear line each."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "tools" / "uv"


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    target = tmp_path / "checkout" / "deploy" / "tools" / "uv"
    target.parent.mkdir(parents=True)
    shutil.copy2(SCRIPT, target)
    for name in ("network.sh", "python.sh"):
        shutil.copy2(SCRIPT.with_name(name), target.parent)
    return target


def fake_path(folder: Path, **programs: str) -> str:
    """A PATH with the plain tools that the script needs, and these programs for Python."""
    folder.mkdir()
    for name in ("sh", "dirname", "mkdir", "mktemp", "rm", "mv", "tail", "grep"):
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    for name, body in programs.items():
        program = folder / name.replace("_", ".")
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    return str(folder)


def run(tool: Path, path: str, **environment: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [str(tool), "--version"],
        env={"PATH": path, "HOME": str(tool.parent), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_no_python_or_one_that_does_not_run_or_one_too_old(tool: Path, tmp_path: Path) -> None:
    path = fake_path(tmp_path / "bin", python3_13="exit 127", python3="exit 1")
    code, lines = run(tool, path)
    assert code == 1
    assert lines == [
        "error: no Python 3.11, 3.12 or 3.13 found on PATH; install one and run this again"
    ]


def test_python_without_venv_names_the_package(tool: Path, tmp_path: Path) -> None:
    path = fake_path(tmp_path / "bin", python3="case $2 in *ensurepip*) exit 1;; esac; exit 0")
    code, [line] = run(tool, path)
    assert code == 1
    assert "apt install python3-venv" in line


def test_no_network_is_said_and_nothing_half_is_left(tool: Path, tmp_path: Path) -> None:
    path = fake_path(tmp_path / "bin", python3=f'exec "{sys.executable}" "$@"')
    code, lines = run(
        tool,
        path,
        PIP_CONFIG_FILE=os.devnull,
        PIP_INDEX_URL="http://127.0.0.1:9/simple",
        PIP_RETRIES="0",
        PIP_NO_CACHE_DIR="1",
    )
    assert code == 1
    assert "is PyPI reachable?" in lines[-1]
    assert list((tool.parents[2] / ".tools").iterdir()) == []

"""The sample files, and the command that puts them into the landing zone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from elt.sample_data import SAMPLE_FOLDER, main
from elt.tables import CUSTOMERS, ORDERS, PRODUCTS


def test_every_declared_file_has_a_sample() -> None:
    declared = {f"{table.name}.csv" for table in (CUSTOMERS, ORDERS, PRODUCTS)}
    assert {path.name for path in SAMPLE_FOLDER.glob("*.csv")} == declared


def run_seed(**settings: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
    command = [sys.executable, "-m", "elt.sample_data"]
    return subprocess.run(
        command, env=inherited | settings, capture_output=True, text=True, timeout=30, check=False
    )


def test_seed_command(tmp_path: Path) -> None:
    done = run_seed(LANDING_ZONE=tmp_path.as_uri(), LANDING_ZONE_SAMPLE="true")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    assert (tmp_path / "orders.csv").is_file()


@pytest.mark.parametrize("wanted", ["false", ""])
def test_seed_command_does_nothing_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    monkeypatch.setenv("LANDING_ZONE", tmp_path.as_uri())
    monkeypatch.setenv("LANDING_ZONE_SAMPLE", wanted)
    assert main() == 0
    assert list(tmp_path.iterdir()) == []


def test_seed_command_fails_in_one_line() -> None:
    done = run_seed(LANDING_ZONE="nowhere", LANDING_ZONE_SAMPLE="true")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "LANDING_ZONE is 'nowhere'" in done.stderr

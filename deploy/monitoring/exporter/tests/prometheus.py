"""Debian's Prometheus and promtool, as processes of this machine."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
MONITORING = ROOT / "deploy/monitoring"


@functools.cache
def program(name: str) -> str:
    """The path of a program of Debian's packages; skips the test where it cannot be had."""
    done = subprocess.run(
        [ROOT / ".ci/debian-programs", "prometheus", "promtool"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"prometheus of Debian: {done.stderr.strip()}")
    return str(Path(done.stdout.strip()) / name)


def promtool(*arguments: str, folder: Path = MONITORING) -> subprocess.CompletedProcess[str]:
    """What promtool says, and its exit code."""
    return subprocess.run(
        [program("promtool"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=60,
    )

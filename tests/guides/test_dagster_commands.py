"""docs/dagster-commands.md: Dagster's own commands in a location's folder, without a stack."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from urllib.error import URLError

import pytest

from guide import follow

GUIDE = Path(__file__).resolve().parents[2] / "docs/dagster-commands.md"
SERVES_S = 90


def test_every_command_of_the_page_works(folder: Path) -> None:
    said = follow(GUIDE, folder / "dagster-stack")
    assert "Traceback" not in said


@pytest.mark.parametrize("program", ["dg", "dagster"])
def test_dev_serves_one_location(program: str, folder: Path) -> None:
    location = folder / "dagster-stack/code_locations/elt"
    uv = str(folder / "dagster-stack/deploy/tools/uv")
    subprocess.run([uv, "sync", "--quiet", "--frozen"], cwd=location, check=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    output = folder / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [uv, "run", "--quiet", program, "dev", "--port", str(port)],
            cwd=location,
            env={name: value for name, value in os.environ.items() if name != "LANDING_ZONE"},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + SERVES_S
        # Its sensor has been asked by then.
        while not (answers(port) and "LANDING_ZONE is not set" in output.read_text()):
            assert process.poll() is None and time.monotonic() < end, output.read_text()
            time.sleep(0.2)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
    assert "Traceback" not in output.read_text()


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False

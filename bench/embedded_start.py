"""How long the stack without Docker takes until its UI answers, beside `dg dev`.

    bench/run embedded_start [--repeat 3]

Both start in one clone whose environments are installed and whose data exist: the first start of
each is not measured. They take turns. `dg dev` starts a webserver, a daemon and a code server per
location on SQLite; `make dev` a Postgres, roles and the warehouse as well. Prints medians in
seconds, and the ratio.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from harness import REPOSITORY, files, free_port, until

PATIENCE_S = 600


def clone(folder: Path) -> None:
    """What a clone of the working tree would hold."""
    for name in files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, folder / name)
    (folder / ".tools").symlink_to(REPOSITORY / ".tools")


def seconds_to_ui(
    command: list[str], folder: Path, port: int, environment: dict[str, str]
) -> float:
    """Start a command, wait until a webserver answers on the port, and end it by Ctrl-C."""
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )

    def answers() -> float:
        assert process.poll() is None, f"{command} ended with {process.returncode}"
        assert httpx.get(f"http://127.0.0.1:{port}/server_info", timeout=5).is_success
        return time.monotonic() - began

    try:
        return until(answers, PATIENCE_S, every=0.1)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(120)


def make_dev(folder: Path) -> float:
    port = free_port()
    return seconds_to_ui(["deploy/embedded/dev"], folder, port, {"WEBSERVER_PORT": str(port)})


def dg_dev(folder: Path) -> float:
    port = free_port()
    home = folder / ".dagster-home"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    uv = ["deploy/tools/uv", "run", "--quiet", "--frozen", "--project", "code_locations/elt"]
    command = [*uv, "dg", "dev", f"--port={port}"]
    return seconds_to_ui(command, folder, port, {"DAGSTER_HOME": str(home)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=3, help="starts of each; default 3")
    repeat = parser.parse_args().repeat
    subjects: dict[str, Callable[[Path], float]] = {"make dev": make_dev, "dg dev": dg_dev}
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    with tempfile.TemporaryDirectory(prefix="embedded-start-") as scratch:
        # Postgres runs as another user where this one is root.
        Path(scratch).chmod(0o755)
        folder = Path(scratch) / "clone"
        clone(folder)
        for start in subjects.values():
            start(folder)
        for _ in range(repeat):
            for name, start in subjects.items():
                seconds[name].append(start(folder))
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    for name, median in medians.items():
        print(f"{name}: {median:.1f} s until the UI answers, median of {repeat}")
    print(f"make dev takes {medians['make dev'] / medians['dg dev']:.1f} times as long as dg dev")


if __name__ == "__main__":
    main()

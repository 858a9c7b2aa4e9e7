"""One measured process: how long its load took, and the most memory that it held."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_S = 0.02


@dataclass(frozen=True)
class Trial:
    """Seconds of the load and of all else in the process's life, and its peak memory.

    `peak_mib` adds up the peak resident memory (VmHWM) of the process and of each process that it
    started, which is their sum at one moment or more.
    """

    load_s: float
    startup_s: float
    peak_mib: float


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Trial:
    """Run a command in a process of its own.

    If it prints a line of JSON with `load_s` at the end, that is the load; all of it else. Raises
    RuntimeError with the command's output when it fails.
    """
    with tempfile.TemporaryFile("w+") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        peaks: dict[int, int] = {}
        while process.poll() is None:
            peaks |= _peaks_kib(process.pid)
            time.sleep(SAMPLE_S)
        whole_s = time.perf_counter() - began
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{text}")
    load_s = _reported(text) or whole_s
    return Trial(load_s, whole_s - load_s, sum(peaks.values()) / 1024)


def _reported(text: str) -> float | None:
    last = text.strip().rpartition("\n")[2]
    return float(json.loads(last)["load_s"]) if last.startswith('{"load_s"') else None


def _peaks_kib(pid: int) -> dict[int, int]:
    """Peak memory by process id, of a process and its descendants; without those that ended."""
    found: dict[int, int] = {}
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            # A process's own peak since its exec, so nothing falls between two looks at it.
            if line.startswith("VmHWM:"):
                found[pid] = int(line.split()[1])
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found |= _peaks_kib(int(child))
    except OSError:
        pass
    return found

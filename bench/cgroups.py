"""What a container uses, as its control group says; versions 1 and 2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_MIB = 2**20


def cpu_s(pid: int) -> float:
    """CPU seconds of the container that a process is in; 0 when it is gone."""
    for folder in _folders(pid, "cpuacct"):
        if (usage := folder / "cpuacct.usage").exists():
            return int(usage.read_text()) / 1e9
        if (stat := folder / "cpu.stat").exists():
            return int(stat.read_text().split()[1]) / 1e6
    return 0.0


def memory_mib(pid: int) -> float:
    """MiB of the container that a process is in without cached files, as `docker stats` says."""
    for folder in _folders(pid, "memory"):
        for usage, inactive in (
            ("memory.usage_in_bytes", "total_inactive_file"),
            ("memory.current", "inactive_file"),
        ):
            if (folder / usage).exists():
                lines = (folder / "memory.stat").read_text().splitlines()
                fields = dict(line.split() for line in lines)
                return (int((folder / usage).read_text()) - int(fields[inactive])) / _MIB
    return 0.0


def _folders(pid: int, controller: str) -> Iterator[Path]:
    """Where the files of a controller may be."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            yield _ROOT / controller / path.lstrip("/")
            yield _ROOT / controllers / path.lstrip("/")
        elif not controllers:
            yield _ROOT / path.lstrip("/")

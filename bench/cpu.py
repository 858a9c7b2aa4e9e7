"""Whose CPU time it was."""

from __future__ import annotations

import os
from pathlib import Path

from harness import Stack

_TICK = os.sysconf("SC_CLK_TCK")
_ENGINE = ("dockerd", "containerd", "containerd-shim", "runc", "docker-proxy")


class Usage:
    """CPU seconds since it was made, by the services, by the engine, and by the rest: the runs."""

    def __init__(self, stack: Stack) -> None:
        # Process ids of the services' containers, by service.
        self._services = {
            name: stack.inspect(stack.container(name))["State"]["Pid"]
            for name in stack.compose("ps", "--services").split()
        }
        self._before = self._now()

    def since(self) -> dict[str, float]:
        """CPU seconds by part."""
        now = self._now()
        used = {part: now[part] - before for part, before in self._before.items()}
        others = sum(value for part, value in used.items() if part != "all")
        return {**used, "runs_and_rest": used["all"] - others}

    def _now(self) -> dict[str, float]:
        return {
            "all": _machine(),
            "engine": sum(_process(pid) for pid in _pids(_ENGINE)),
            **{name: _cgroup(pid) for name, pid in self._services.items()},
        }


def _machine() -> float:
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq = fields[:7]
    return (user + nice + system + irq + softirq) / _TICK


def _pids(names: tuple[str, ...]) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and (folder / "comm").read_text().strip().startswith(names):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def _process(pid: int) -> float:
    """Its own time and that of the children that it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / _TICK


def _cgroup(pid: int) -> float:
    """CPU seconds of the container that a process is in; cgroup versions 1 and 2."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "cpuacct" in controllers.split(","):
            usage = Path(f"/sys/fs/cgroup/cpuacct{path}/cpuacct.usage")
            if not usage.exists():
                usage = Path(f"/sys/fs/cgroup/cpu,cpuacct{path}/cpuacct.usage")
            return int(usage.read_text()) / 1e9
        if not controllers:
            stat = Path(f"/sys/fs/cgroup{path}/cpu.stat")
            if stat.exists():
                return int(stat.read_text().split()[1]) / 1e6
    return 0.0

"""Memory and CPU of the stack's containers, as the Docker gateway tells them."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

from stack_exporter.outside import TIMEOUT_S, ask
from stack_exporter.series import Family, Row

_PATH = "/v1.45/usage"
_LABELS = ("kind", "service")
FAMILIES = (
    Family(
        "stack_container_memory_bytes", "Memory of the containers, page cache left out.",
        _LABELS, "memory",
    ),
    Family("stack_container_memory_limit_bytes", "Their limits.", _LABELS, "limit"),
    Family(
        "stack_container_cpu_cores", "Cores in use, on average since the last look.",
        _LABELS, "cores",
    ),
    Family("stack_containers", "How many run.", _LABELS, "one"),
)  # fmt: skip


class _Connection(HTTPConnection):
    def __init__(self, file: Path) -> None:
        super().__init__("docker", timeout=TIMEOUT_S)
        self._file = str(file)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self._file)


class Containers:
    """Asks by the socket ``file``; a gauge of CPU needs two looks."""

    def __init__(self, file: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._now = now
        self._before: tuple[float, dict[str, float]] | None = None

    def look(self) -> list[Row]:
        """One row a container. Raises OSError, ValueError or KeyError."""
        rows, now = self._ask(), self._now()
        used = {str(row["id"]): float(row["cpu"]) for row in rows}
        before, self._before = self._before, (now, used)

        def cores(key: str) -> float | None:
            if before is None or now <= before[0]:
                return None
            # What was not there then has used all of it since.
            return max(used[key] - before[1].get(key, 0.0), 0.0) / (now - before[0])

        return [{**row, "one": 1, "cores": cores(str(row["id"]))} for row in rows]

    def _ask(self) -> list[Row]:
        found: list[Row] = ask(_Connection(self._file), "the Docker gateway", "GET", _PATH)
        return found

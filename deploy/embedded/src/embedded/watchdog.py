"""Ends what the supervisor started when the supervisor itself is killed.

Reads stdin, the other end of which only the supervisor holds: one line means a proper end,
end of file without it means that the supervisor is gone. Works wherever pipes do.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path

import psutil

from embedded import leftovers
from embedded.postgres_server import find_server, stop_server


def watch(data: Path, run_id: str, postgres_data: Path) -> None:
    """Block until the supervisor ends; then end its processes, Postgres last."""
    if sys.stdin.readline():
        return
    # Looked up now: a new supervisor may start another server at any moment.
    server = find_server(postgres_data)
    leftovers.end(leftovers.find(data, run_id))
    if server is not None:
        with contextlib.suppress(psutil.Error):
            stop_server(server)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watch(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))

"""Ends what the supervisor started when the supervisor itself is killed.

Reads stdin, the other end of which only the supervisor holds: one line means a proper end,
end of file without it means that the supervisor is gone. Works wherever pipes do.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path

from control_plane.errors import StackError

from embedded import leftovers, lock
from embedded.postgres_server import find_server, stop_server


def watch(lock_file: Path, run_id: str, postgres_data: Path) -> None:
    """Block until the supervisor ends; then end its processes, Postgres last."""
    if sys.stdin.readline():
        return
    # Without the lock a new supervisor is at work already, and has ended them itself.
    with contextlib.suppress(StackError), lock.held(lock_file, ending=True):
        leftovers.sweep(lock_file.parent, run_id)
        server = find_server(postgres_data)
        if server is not None:
            stop_server(server)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watch(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))

"""The write-ahead log: received as it is written, and handed to a server that recovers.

Run as a program, `python -m backup.wal FOLDER NAME TARGET` is Postgres' `restore_command`.
"""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

from backup import programs

SLOT = "backup"
# Postgres' default, which the stack uses.
SEGMENT_BYTES = 16 * 1024 * 1024
# Of the connection, which the server notices within seconds too (tcp_keepalives in the stack).
_STATUS_S = "5"


# What the server says when it has let go of what was not received (max_slot_wal_keep_size).
_HOLE = ("has already been removed", "can no longer get changes", "has been invalidated")


def receive(folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """Begin to receive; what goes wrong is written to ``log``.

    The server keeps what was not received yet, by a replication slot.
    """
    programs.run("pg_receivewal", "--create-slot", "--if-not-exists", f"--slot={SLOT}")
    return subprocess.Popen(
        programs.command(
            "pg_receivewal",
            f"--directory={folder}",
            f"--slot={SLOT}",
            # Flushed as it comes: at a crash of the database's disk, seconds are lost.
            "--synchronous",
            f"--status-interval={_STATUS_S}",
            "--compress=gzip:1",
            "--no-loop",
        ),
        env=programs.environment(),
        # Whose a server is that recovers, and reads it.
        user=programs.UID,
        group=programs.UID,
        extra_groups=[],
        stderr=log.open("w"),
    )


def has_hole(said: str) -> bool:
    """Whether the server cannot go on where the received log ends."""
    return any(words in said for words in _HOLE)


def forget() -> None:
    """Let the server keep nothing for this receiver any more."""
    programs.run("pg_receivewal", "--drop-slot", f"--slot={SLOT}")


def fetch(folder: Path, name: str, target: Path) -> bool:
    """Put the file ``name`` of the log at ``target``; False when it was never received.

    The last one is incomplete: what follows the received part is zeros, as in a new file.
    """
    for suffix in (".gz", ".gz.partial"):
        path = folder / f"{name}{suffix}"
        if path.exists():
            content = _unpack(path.read_bytes())
            if suffix.endswith(".partial"):
                content = content.ljust(SEGMENT_BYTES, b"\0")
            target.write_bytes(content)
            return True
    plain = folder / name  # A timeline's history is not compressed.
    if plain.exists():
        target.write_bytes(plain.read_bytes())
        return True
    return False


def _unpack(data: bytes) -> bytes:
    """What a gzip file holds, up to where it was cut off."""
    content = b""
    while data:
        stream = zlib.decompressobj(wbits=31)
        content += stream.decompress(data) + stream.flush()
        if not stream.eof:
            break
        data = stream.unused_data
    return content


if __name__ == "__main__":
    found = fetch(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
    sys.exit(0 if found else 1)

"""The container's health: whether the engine answers through the daemon's socket."""

from __future__ import annotations

import socket
import sys

SOCKET = "/run/docker-gateway/daemon/docker.sock"


def is_well() -> bool:
    """Whether a ping through the gateway is answered by the engine."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(4)
        try:
            connection.connect(SOCKET)
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in connection.recv(64)
        except OSError:
            return False


if __name__ == "__main__":
    sys.exit(not is_well())

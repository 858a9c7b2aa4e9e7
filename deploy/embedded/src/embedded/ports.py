"""Is a port free, who has it, and which ports does this checkout use for its inner parts."""

from __future__ import annotations

import socket
import zlib
from collections.abc import Iterator
from pathlib import Path

import psutil
from control_plane.errors import StackError

# Below the ranges from which Linux and macOS take ports for outgoing connections, so that
# nothing takes one between the moment we look and the moment a server binds it.
_INNER_PORTS = range(20000, 32000)


def is_free(port: int) -> bool:
    """True when a server could listen on loopback's ``port``, and nobody answers there."""
    with socket.socket() as probe:
        # As servers do; without it a port counts as taken for a minute after its server ended.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    # The bind passes on macOS while somebody listens on all addresses, and with a server on ::1.
    return not answers(port)


def answers(port: int) -> bool:
    """True when somebody accepts connections on ``port``; asking disturbs no starting server."""
    try:
        socket.create_connection(("localhost", port), timeout=0.5).close()
    except OSError:
        return False
    return True


def require_free(port: int) -> None:
    """Raise StackError with the owner and the fix when ``port`` cannot be used."""
    if is_free(port):
        return
    other = next(candidate for candidate in range(port + 1, 65536) if is_free(candidate))
    if port < 1024 and owner_of(port) is None and not answers(port):
        raise StackError(
            f"port {port} cannot be bound: ports below 1024 need special rights. "
            f"Choose another: WEBSERVER_PORT={other} make dev"
        )
    owner = owner_of(port)
    raise StackError(
        f"port {port} is taken{f' by {owner}' if owner else ''}. "
        f"Stop that, or choose another: WEBSERVER_PORT={other} make dev"
    )


def owner_of(port: int) -> str | None:
    """Who listens on ``port``, as far as this user may know: name, pid, folder."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error:  # macOS tells only root
        return None
    for connection in connections:
        address = connection.laddr
        if connection.status != psutil.CONN_LISTEN or not address or not connection.pid:
            continue
        if address.port == port:
            return _describe(connection.pid)
    return None


def inner_ports(checkout: Path, count: int) -> list[int]:
    """``count`` free ports; the same ones for the same checkout as long as they are free."""
    return [port for port, _ in zip(_free_candidates(checkout), range(count), strict=False)]


def _free_candidates(checkout: Path) -> Iterator[int]:
    start = zlib.crc32(str(checkout).encode())
    for offset in range(len(_INNER_PORTS)):
        port = _INNER_PORTS[(start + offset) % len(_INNER_PORTS)]
        if is_free(port):
            yield port


def _describe(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        name = process.name()
    except psutil.Error:
        return f"process {pid}"
    try:
        return f"{name} (process {pid}, in {process.cwd()})"
    except psutil.Error:
        return f"{name} (process {pid})"

"""Runs the gateway until it is asked to end."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from docker_gateway.engine import Engine
from docker_gateway.rules import CALLERS
from docker_gateway.server import Gateway

ENGINE_SOCKET = "/var/run/docker.sock"
# A volume each, which its caller alone mounts.
SOCKETS = Path("/run/docker-gateway")


async def main() -> None:
    """Serve all callers whose volumes are there."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    engine = Engine(ENGINE_SOCKET)
    gateway = Gateway(os.environ["COMPOSE_PROJECT_NAME"], engine)
    for caller in CALLERS:
        if (SOCKETS / caller).is_mount():
            await gateway.listen(caller, SOCKETS / caller / "docker.sock")
    await ended.wait()
    await gateway.close()
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main())

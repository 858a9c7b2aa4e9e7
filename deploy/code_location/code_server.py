"""Become the location's code server, which listens in its RPC network and nowhere else.

Dagster's code server has no password: it runs code, and reads any variable of its environment, for
whoever reaches it. In the RPC network that is the control plane alone.
"""

import fcntl
import gc
import socket
import struct
import sys
from importlib.metadata import entry_points

PORT = 4000
# By the network's option com.docker.network.container_iface_prefix in docker-compose.yml.
_INTERFACE = "rpc"
_SIOCGIFADDR = 0x8915


def rpc_address() -> str:
    """This container's IPv4 address in its RPC network; ends the process without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        for _, name in socket.if_nameindex():
            if name.startswith(_INTERFACE):
                request = struct.pack("256s", name.encode())
                answer = fcntl.ioctl(query.fileno(), _SIOCGIFADDR, request)
                return socket.inet_ntoa(answer[20:24])
    sys.exit(
        "code server: this container is in no RPC network. Fix: add the network rpc_<location> to"
        " the service in docker-compose.yml (docs/locations.md)"
    )


def main() -> None:
    """Run Dagster's command."""
    # Importing makes hundreds of thousands of objects and no garbage: looking through them is a
    # fifth of the CPU time until the server serves.
    gc.disable()
    (dagster,) = entry_points(group="console_scripts", name="dagster")
    command = dagster.load()
    gc.freeze()
    gc.enable()
    # The location itself is imported by the command. Its objects are looked through less often.
    gc.set_threshold(20_000)
    sys.argv = ["dagster", "api", "grpc", "--host", rpc_address(), "--port", str(PORT)]
    sys.exit(command())


if __name__ == "__main__":
    main()

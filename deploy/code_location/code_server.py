"""Become the location's code server, which listens in its RPC network and nowhere else.

Dagster's code server has no password: it runs code, and reads any variable of its environment, for
whoever reaches it. In the RPC network that is the control plane alone.
"""

import fcntl
import gc
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from importlib.metadata import entry_points
from pathlib import Path

PORT = 4000
# By the network's option com.docker.network.container_iface_prefix in docker-compose.yml.
_INTERFACE = "rpc"
_SIOCGIFADDR = 0x8915
_SIGN = Path("/tmp/serving")
_HOUR_S = 3600


def rpc_address() -> str:
    """This container's IPv4 address in its RPC network; ends the process without one.

    CODE_SERVER_ADDRESS says it where network policies keep others away (docs/kubernetes.md).
    """
    if given := os.environ.get("CODE_SERVER_ADDRESS"):
        return given
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


def keep_sign(address: str) -> None:
    """Keep a file new while this process's server answers: what the container's health is read from.

    One connection for all questions, unlike a probe from outside.
    """
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    # Until the location is imported, nothing listens.
    options = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 1000)]
    health = health_pb2_grpc.HealthStub(grpc.insecure_channel(f"{address}:{PORT}", options))
    while True:
        try:
            answer = health.Check(
                health_pb2.HealthCheckRequest(service="DagsterApi"), timeout=4, wait_for_ready=True
            )
            serves = answer.status == health_pb2.HealthCheckResponse.SERVING
        except grpc.RpcError:
            serves = False
        if serves:
            _SIGN.touch()
        time.sleep(5 if serves else 0.2)


def remove_files() -> None:
    """Remove the files of runs that were removed, each hour, by a process that ends again."""
    while True:
        time.sleep(_HOUR_S)
        subprocess.run(["nice", sys.executable, "/usr/local/bin/run_files.py", "run"], check=False)


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
    address = rpc_address()
    threading.Thread(target=keep_sign, args=(address,), name="health", daemon=True).start()
    threading.Thread(target=remove_files, name="run-files", daemon=True).start()
    sys.argv = ["dagster", "api", "grpc", "--host", address, "--port", str(PORT)]
    sys.exit(command())


if __name__ == "__main__":
    main()

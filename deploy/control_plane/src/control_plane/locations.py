"""Whether the code locations of a workspace file serve."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from control_plane.workspace import servers


def serves(address: str) -> bool:
    """Whether a code server at ``host:port`` answers that it serves."""
    try:
        with grpc.insecure_channel(address) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service="DagsterApi"), timeout=2
            )
    except grpc.RpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def wait(workspace: Path, seconds: float) -> list[str]:
    """Wait until all locations serve, ``seconds`` at most; the names of those that do not.

    Before that the file is waited for as long: it comes from a service that starts meanwhile.
    Raises StackError when it does not appear, or is invalid.
    """
    with contextlib.suppress(RetryError):
        Retrying(
            retry=retry_if_result(lambda there: not there),
            stop=stop_after_delay(seconds),
            wait=wait_fixed(0.1),
        )(workspace.exists)

    return wait_for(lambda: servers(workspace), seconds)


def wait_for(addresses: Callable[[], Mapping[str, str]], seconds: float) -> list[str]:
    """Wait until all of ``addresses``, by name, serve, ``seconds`` at most; who does not.

    Each look ends at the first that does not serve yet, and asks none again that did: while fifty
    start together, asking all of them twice a second would take a core from them.
    """
    served: set[tuple[str, str]] = set()

    def is_one_late() -> bool:
        for location in addresses().items():
            if location not in served:
                if not serves(location[1]):
                    return True
                served.add(location)
        return False

    try:
        Retrying(retry=retry_if_result(bool), stop=stop_after_delay(seconds), wait=wait_fixed(0.5))(
            is_one_late
        )
    except RetryError:
        return [name for name, address in addresses().items() if not serves(address)]
    return []

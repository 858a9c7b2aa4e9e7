"""Whether the code locations of a workspace file serve."""

from __future__ import annotations

from pathlib import Path

import grpc
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed


def servers(workspace: Path) -> dict[str, str]:
    """Addresses (``host:port``) of the gRPC servers that the workspace names, by location."""
    entries = yaml.safe_load(workspace.read_text())["load_from"]
    found = (entry["grpc_server"] for entry in entries if "grpc_server" in entry)
    return {server["location_name"]: f"{server['host']}:{server['port']}" for server in found}


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
    """Wait until all locations serve, ``seconds`` at most; the names of those that do not."""

    def late() -> list[str]:
        return [name for name, address in servers(workspace).items() if not serves(address)]

    try:
        return Retrying(
            retry=retry_if_result(bool), stop=stop_after_delay(seconds), wait=wait_fixed(0.5)
        )(late)
    except RetryError as error:
        names: list[str] = error.last_attempt.result()
        return names

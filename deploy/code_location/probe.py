"""Exit 0 when the code server serves. Imports gRPC alone, and that only once something listens: a
probe that imports Dagster costs six times the CPU, and while several servers start at once, one
that imports gRPC each second costs them half of theirs."""

import socket
import sys

from code_server import PORT, rpc_address

address = rpc_address()
try:
    socket.create_connection((address, PORT), timeout=4).close()
except OSError as error:
    sys.exit(f"the code server does not listen: {error}")

import grpc  # noqa: E402
from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: E402

try:
    with grpc.insecure_channel(f"{address}:{PORT}") as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service="DagsterApi"), timeout=4
        )
except grpc.RpcError as error:
    sys.exit(f"the code server does not answer: {error.code().name}")
if answer.status != health_pb2.HealthCheckResponse.SERVING:
    sys.exit("the code server answers, and does not serve")

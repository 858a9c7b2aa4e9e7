"""Exit 0 when the code server serves. Imports gRPC alone: a probe that imports Dagster costs
six times the CPU, every few seconds, for every location."""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

try:
    with grpc.insecure_channel("127.0.0.1:4000") as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service="DagsterApi"), timeout=4
        )
except grpc.RpcError as error:
    sys.exit(f"the code server does not answer: {error.code().name}")
if answer.status != health_pb2.HealthCheckResponse.SERVING:
    sys.exit("the code server answers, and does not serve")

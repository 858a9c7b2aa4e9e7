"""The question that is asked each second goes over one connection, for as long as that holds."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.__generated__.dagster_api_pb2_grpc import (
    DagsterApiServicer,
    add_DagsterApiServicer_to_server,
)
from dagster._grpc.client import DagsterGrpcClient

from control_plane.internals.code_servers import GET_RESPONSE
from control_plane.kept_connections import keep_connections_to_code_servers


class Servicer(DagsterApiServicer):
    """Answers with its name, and notes over which connections it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.peers: list[str] = []

    def GetServerId(self, request: Any, context: Any) -> Any:
        self.peers.append(context.peer())
        return dagster_api_pb2.GetServerIdReply(server_id=self.name)

    def Ping(self, request: Any, context: Any) -> Any:
        self.peers.append(context.peer())
        return dagster_api_pb2.PingReply(echo=request.echo)


def serve(servicer: Servicer, port: int = 0) -> tuple[grpc.Server, int]:
    made = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    add_DagsterApiServicer_to_server(servicer, made)
    taken = made.add_insecure_port(f"127.0.0.1:{port}")
    made.start()
    return made, taken


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Put back afterwards.
    monkeypatch.setattr(DagsterGrpcClient, "_get_response", GET_RESPONSE.original())
    keep_connections_to_code_servers()
    yield


def test_one_connection_for_the_repeated_question_and_another_for_others() -> None:
    servicer = Servicer("first")
    server, port = serve(servicer)
    client = DagsterGrpcClient(host="127.0.0.1", port=port)
    assert {client.get_server_id(timeout=5) for _ in range(5)} == {"first"}
    assert len(servicer.peers) == 5 and len(set(servicer.peers)) == 1
    client.ping("hello")
    assert servicer.peers[-1] not in servicer.peers[:-1]
    server.stop(grace=None).wait()


def test_a_server_that_was_replaced_is_noticed() -> None:
    server, port = serve(Servicer("first"))
    client = DagsterGrpcClient(host="127.0.0.1", port=port)
    assert client.get_server_id(timeout=5) == "first"
    server.stop(grace=None).wait()
    with pytest.raises(DagsterUserCodeUnreachableError):
        client.get_server_id(timeout=5)
    server, _ = serve(Servicer("second"), port)
    # At once: no waiting time of a connection that was lost is in the way.
    assert client.get_server_id(timeout=5) == "second"
    server.stop(grace=None).wait()


def test_a_name_with_another_address_gets_another_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, first_port = serve(Servicer("first"))
    second, second_port = serve(Servicer("second"))
    client = DagsterGrpcClient(host="127.0.0.1", port=first_port)
    assert client.get_server_id(timeout=5) == "first"
    monkeypatch.setattr(client, "_server_address", f"127.0.0.1:{second_port}")
    assert client.get_server_id(timeout=5) == "second"
    for server in (first, second):
        server.stop(grace=None).wait()


def test_a_client_that_is_gone_leaves_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    connect = grpc.insecure_channel

    def watched(*arguments: Any, **named: Any) -> grpc.Channel:
        channel = connect(*arguments, **named)
        close = channel.close
        monkeypatch.setattr(channel, "close", lambda: (closed.append(True), close()))
        return channel

    monkeypatch.setattr(grpc, "insecure_channel", watched)
    server, port = serve(Servicer("first"))
    client = DagsterGrpcClient(host="127.0.0.1", port=port)
    client.get_server_id(timeout=5)
    assert not closed
    del client
    gc.collect()
    assert closed
    server.stop(grace=None).wait()

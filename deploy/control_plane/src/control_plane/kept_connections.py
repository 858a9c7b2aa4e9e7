"""Whether a code server is still the same is asked over a connection that stays open.

Webserver and daemon ask each code server once a second. Dagster's client opens a connection for
every call, and that costs both sides more than the call itself (docs/scaling.md). All other calls
are seldom, and stay as they are.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import grpc

from control_plane.internals.code_servers import (
    DEFAULT_GRPC_TIMEOUT,
    GET_RESPONSE,
    GET_SERVER_ID,
    DagsterApiStub,
    DagsterGrpcClient,
    address_of,
)
from control_plane.internals.code_servers import get_response as over_a_new_connection


def keep_connections_to_code_servers() -> None:
    """Let this process's clients keep one connection each for the question that they repeat."""
    kept = KeptConnections()

    def get_response(
        self: DagsterGrpcClient, method: str, request: Any, timeout: int = DEFAULT_GRPC_TIMEOUT
    ) -> Any:
        if method != GET_SERVER_ID or self.use_ssl:
            return over_a_new_connection(self, method, request, timeout)
        return kept.server_id(self, request, timeout)

    GET_RESPONSE.replace(get_response)


@dataclass(frozen=True)
class _Connection:
    """An open one, the address that it was opened for, and what closes it."""

    address: str
    stub: Any
    close: weakref.finalize[Any, Any]


class KeptConnections:
    """One connection per client, as long as the client lives and the server answers."""

    def __init__(self) -> None:
        self._by_client: weakref.WeakKeyDictionary[DagsterGrpcClient, _Connection] = (
            weakref.WeakKeyDictionary()
        )

    def server_id(self, client: DagsterGrpcClient, request: Any, timeout: int) -> Any:
        """The answer. A new connection follows an error, or another address of the name."""
        connection = self._connection(client)
        try:
            return connection.stub.GetServerId(request, metadata=client.metadata, timeout=timeout)
        except grpc.RpcError:
            self._close(client, connection)
            raise

    def _connection(self, client: DagsterGrpcClient) -> _Connection:
        # Looked up each time: while a release is switched, the name gets another address.
        address = address_of(client)
        connection = self._by_client.get(client)
        if connection is not None and connection.address == address:
            return connection
        if connection is not None:
            self._close(client, connection)
        connection = self._by_client[client] = _connect(client, address)
        return connection

    def _close(self, client: DagsterGrpcClient, connection: _Connection) -> None:
        # Another thread may have a new one by now.
        if self._by_client.get(client) is connection:
            del self._by_client[client]
        connection.close()


def _connect(client: DagsterGrpcClient, address: str) -> _Connection:
    channel = grpc.insecure_channel(address)
    # A location that is loaded again gets another client, and this one's connection goes with it.
    close = weakref.finalize(client, channel.close)
    close.atexit = False
    return _Connection(address, DagsterApiStub(channel), close)  # type: ignore[no-untyped-call]

"""Calls to a name with two addresses."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from control_plane import one_order


def answering(*addresses: str) -> Any:
    """A lookup that finds these, in this order."""
    return lambda host, port, *_: [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses
    ]


def test_the_order_is_the_same_whatever_the_lookup_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = "ipv4:172.18.0.9:4000,172.18.0.10:4000"
    monkeypatch.setattr(socket, "getaddrinfo", answering("172.18.0.10", "172.18.0.9"))
    assert one_order.target("elt:4000") == expected
    monkeypatch.setattr(socket, "getaddrinfo", answering("172.18.0.9", "172.18.0.10"))
    assert one_order.target("elt:4000") == expected


@pytest.mark.parametrize("address", ["unix:/tmp/socket", "no-such-host.invalid:4000"])
def test_what_is_no_name_of_a_host_stays(address: str) -> None:
    assert one_order.target(address) == address


def server(name: str) -> tuple[grpc.Server, int]:
    """One that answers every call with its name."""
    made = grpc.server(ThreadPoolExecutor(2))
    method = grpc.unary_unary_rpc_method_handler(lambda _request, _context: name.encode())
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", {"Who": method}),))
    port = made.add_insecure_port("127.0.0.1:0")
    made.start()
    return made, port


def who(target: str) -> str:
    with grpc.insecure_channel(target) as channel:
        answer: bytes = channel.unary_unary("/t.T/Who")(b"", timeout=5)
        return answer.decode()


def test_all_calls_go_to_the_first_until_it_takes_no_more() -> None:
    first, first_port = server("first")
    second, second_port = server("second")
    both = f"ipv4:127.0.0.1:{first_port},127.0.0.1:{second_port}"
    assert {who(both) for _ in range(20)} == {"first"}
    first.stop(grace=None).wait()
    assert {who(both) for _ in range(20)} == {"second"}
    second.stop(grace=None)

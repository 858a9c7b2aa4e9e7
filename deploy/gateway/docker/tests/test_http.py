"""Hostile HTTP: what has two readings is refused, and never reaches the engine as it came."""

from __future__ import annotations

from contextlib import suppress

import pytest
from aiohttp.http_parser import HttpRequestParser
from engine_stand_in import EngineStandIn, refused
from shop import VERSION, Caller, answer, request

TAIL = "GET /v1.45/info HTTP/1.1\r\nHost: docker\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Type: application/x-www-form-urlencoded", "Content-Type: application/json"],
        ["Content-Type: application/json", "Content-Type: application/x-www-form-urlencoded"],
        ["Content-Type: application/json", "content-type: application/json"],
        ["Content-Type: application/json, text/plain"],
        ["Content-Type: application/x-www-form-urlencoded"],
        ["Content-Type: application/json; charset=utf-16"],
        ["Content-Type:"],
        [],
    ],
    ids=str,
)
def test_a_body_that_may_be_a_form(
    daemon: Caller, engine: EngineStandIn, run: str, lines: list[str]
) -> None:
    head = [f"POST {VERSION}/containers/{run}/update HTTP/1.1", "Host: docker"]
    text = "\r\n".join([*head, "Content-Length: 2", *lines, "", "{}"])
    refused(engine, daemon.send(text.encode()))


def test_a_form_where_no_body_belongs(daemon: Caller, engine: EngineStandIn, run: str) -> None:
    target, form = f"{VERSION}/containers/{run}/kill?signal=SIGUSR1", b"signal=SIGKILL"
    assert daemon.send(request("POST", target)).status == 201
    engine.requests.clear()
    refused(engine, daemon.send(request("POST", target, form)))


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 2", "Content-Length: 2"],
        ["Content-Length: 2", "Content-Length: 60"],
        ["Content-Length: 2, 2"],
        ["Content-Length: +2"],
        ["Content-Length: 0x2"],
        ["Content-Length: -2"],
        ["Content-Length: 2", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked"],
        ["Transfer-Encoding: xchunked", "Content-Length: 2"],
        ["Transfer-Encoding : chunked"],
        ["Content-Length : 2"],
        ["Content-Length: 2", "X: a\r\n folded"],
        ["Content-Length: 2", "Content-Encoding: gzip"],
        ["Content-Length: 2", "Upgrade: tcp", "Connection: Upgrade"],
        ["Content-Length: 2", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"],
        ["Content-Length: 2", "Expect: 100-continue"],
        ["Content-Length: 2", "Trailer: X"],
        ["Content-Length: 2", "X: a\0b"],
        ["Content-Length: 2", "X\u00e9: a"],
        ["Content-Length: 2", f"X: {'a' * 9000}"],
        ["Content-Length: 2", *(f"X-{number}: a" for number in range(100))],
        ["Content-Length: 2", "no colon"],
    ],
    ids=lambda lines: str(lines)[:60],
)
def test_a_head_with_two_readings(
    daemon: Caller, engine: EngineStandIn, run: str, lines: list[str]
) -> None:
    kind = "Content-Type: application/json"
    head = [f"POST {VERSION}/containers/{run}/update HTTP/1.1", "Host: docker", kind, *lines]
    found = daemon.send("\r\n".join([*head, "", "{}"]).encode("latin-1"))
    refused(engine, found)


@pytest.mark.parametrize("line", ["X: a", "Content-Type: application/json ; charset=utf-8"])
def test_a_plain_head(daemon: Caller, engine: EngineStandIn, run: str, line: str) -> None:
    kind = [] if line.startswith("Content-Type") else ["Content-Type: application/json"]
    head = [f"POST {VERSION}/containers/{run}/update HTTP/1.1", "Host: docker", *kind, line]
    text = "\r\n".join([*head, "Content-Length: 2", "", "{}"])
    assert daemon.send(text.encode()).status == 201


@pytest.mark.parametrize(
    "line",
    [
        "GET http://docker/v1.45/info HTTP/1.1",
        "GET http://docker/version HTTP/1.1",
        "GET //version HTTP/1.1",
        "GET /v1.45/../version HTTP/1.1",
        "GET /./version HTTP/1.1",
        "GET /%76ersion HTTP/1.1",
        "GET /version/ HTTP/1.1",
        "GET /version;x HTTP/1.1",
        "GET /version#x HTTP/1.1",
        "GET /version?x=1 HTTP/1.1",
        "GET /version\\ HTTP/1.1",
        "GET /vers\xefon HTTP/1.1",
        "GET * HTTP/1.1",
        "GET version HTTP/1.1",
        f"GET /{'a' * 9000} HTTP/1.1",
        "GET\t/version HTTP/1.1",
        "GET /version HTTP/1.1 x",
        "get /version HTTP/1.1",
        "PRI * HTTP/2.0",
        "CONNECT docker:80 HTTP/1.1",
        "CONNECT /version HTTP/1.1",
        "OPTIONS /version HTTP/1.1",
        "TRACE /version HTTP/1.1",
        "PATCH /version HTTP/1.1",
        "\x16\x03\x01",
    ],
    ids=lambda line: line[:40],
)
def test_a_first_line_that_is_not_plain(daemon: Caller, engine: EngineStandIn, line: str) -> None:
    refused(engine, daemon.send(f"{line}\r\nHost: docker\r\n\r\n".encode("latin-1")))
    assert not engine.requests


def test_http_is_parsed_by_the_compiled_parser() -> None:
    """aiohttp's other one, in Python, has had more holes."""
    assert HttpRequestParser.__module__ == "aiohttp._http_parser"


def test_another_version_of_http(daemon: Caller, engine: EngineStandIn) -> None:
    with daemon.connect() as connection:
        connection.sendall(b"GET /version HTTP/2.0\r\nHost: docker\r\n\r\n")
        assert b" 400 " in connection.recv(64)
    assert not engine.requests


@pytest.mark.parametrize(
    "query",
    [
        "t=1&t=2",
        "%74=1",
        "t=1;t=2",
        "t=%zz",
        "t=1%00",
        "t=%ff",
        "t",
        "t=1&",
        "&t=1",
        "T=1",
        "t=1=2",
    ],
)
def test_a_query_that_is_not_plain(
    daemon: Caller, engine: EngineStandIn, run: str, query: str
) -> None:
    refused(engine, daemon.ask("POST", f"{VERSION}/containers/{run}/stop?{query}"))


def test_what_follows_a_refusal_is_not_read(
    daemon: Caller, engine: EngineStandIn, run: str
) -> None:
    """A second request may be in the body of the first, as the first one's length says."""
    stop = f"POST {VERSION}/containers/{run}/stop HTTP/1.1\r\nHost: docker\r\n\r\n"
    head = f"POST /v1.45/info HTTP/1.1\r\nHost: docker\r\nContent-Length: {len(stop)}\r\n\r\n"
    with daemon.connect() as connection:
        connection.sendall((head + stop).encode())
        found = answer(connection)
        refused(engine, found)
        assert found.reason == "bodies are JSON, by one Content-Type"
        with suppress(ConnectionError):
            assert connection.recv(1) == b""
    assert not engine.requests


def test_requests_in_a_row_are_each_looked_at(
    daemon: Caller, engine: EngineStandIn, run: str
) -> None:
    good = request("GET", f"{VERSION}/containers/{run}/json")
    with daemon.connect() as connection:
        connection.sendall(good + good + TAIL.encode() + good)
        # One buffer for all answers: http.client would keep the second one with the first.
        received = b""
        with suppress(ConnectionError):
            while part := connection.recv(65536):
                received += part
    assert received.count(b"HTTP/1.1 200 OK") == 2
    assert received.count(b"HTTP/1.1 403 Forbidden") == 1
    assert not engine.sent and len(engine.requests) == 2


def test_what_is_sent_is_written_anew(daemon: Caller, engine: EngineStandIn, run: str) -> None:
    more = ["X-Registry-Auth: e30=", "Cookie: a=b", "User-Agent: x", "Connection: keep-alive"]
    target = f"{VERSION}/containers/{run}/stop?t=%31%30"
    with daemon.connect() as connection:
        connection.sendall(request("POST", target, b"", *more))
        answer(connection)
    [sent] = engine.sent
    assert sent.line == f"POST /v1.45/containers/{run}/stop?t=10"
    assert sorted(sent.headers) == ["Connection: close", "Content-Length: 0", "Host: docker"]
    assert sent.body == b""


def test_json_is_written_anew(daemon: Caller, engine: EngineStandIn, run: str) -> None:
    content = b'\n{ "Memory":\t300000000,"MemorySwap":600000000 }\n'
    target = f"{VERSION}/containers/{run}/update"
    assert daemon.send(request("POST", target, content)).status == 201
    [sent] = engine.sent
    assert sent.body == b'{"Memory": 300000000, "MemorySwap": 600000000}'
    assert sent.headers.count("Content-Type: application/json") == 1
    assert sum("content-" in line.lower() for line in sent.headers) == 2


def test_a_body_that_does_not_come(
    daemon: Caller, engine: EngineStandIn, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("docker_gateway.asked._BODY_TIMEOUT_S", 0.05)
    head = request("POST", f"{VERSION}/containers/{run}/update", b"{}")[:-1]
    with daemon.connect() as connection:
        connection.sendall(head)
        refused(engine, answer(connection), 408)

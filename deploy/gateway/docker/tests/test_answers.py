"""Answers, streams, and the log."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from engine_stand_in import EngineStandIn
from shop import VERSION, Caller, request


def test_an_answer_has_status_type_and_body_alone(daemon: Caller, engine: EngineStandIn) -> None:
    found = daemon.ask("GET", "/version")
    assert found.status == 200 and json.loads(found.body) == {"path": "/version"}
    assert "Docker" not in found.headers["Server"]
    assert found.headers["Content-Type"] == "application/json"


def test_a_stream_is_passed_on_as_it_comes(
    daemon: Caller, engine: EngineStandIn, events: str, within: Callable[..., Any]
) -> None:
    with daemon.connect() as connection:
        connection.sendall(request("GET", events))
        received = b""
        while b'{"at":1}' not in received:
            received += connection.recv(4096)
        assert b'{"at":2}' not in received
        within(_set(engine))
        while not received.endswith(b"0\r\n\r\n"):
            received += connection.recv(4096)
    assert b'{"at":2}' in received


def test_a_stream_that_nobody_reads_ends(
    daemon: Caller, engine: EngineStandIn, events: str, within: Callable[..., Any]
) -> None:
    connection = daemon.connect()
    connection.sendall(request("GET", events))
    assert connection.recv(4096)
    connection.close()
    within(engine.reader_left.wait())


def test_an_engine_that_is_away(
    daemon: Caller, engine: EngineStandIn, run: str, within: Callable[..., Any]
) -> None:
    within(engine.stop())
    engine.socket.unlink()
    for method, end in (("GET", "json"), ("POST", "start")):
        found = daemon.ask(method, f"{VERSION}/containers/{run}/{end}")
        assert found.status == 503 and found.reason == "the engine does not answer"
    assert daemon.ask("GET", "/version").status == 503


def test_a_refusal_is_one_line_in_the_log(
    daemon: Caller, engine: EngineStandIn, capfd: pytest.CaptureFixture[str]
) -> None:
    reason = daemon.ask("GET", f'{VERSION}/info?"').reason
    daemon.send(b"\x16\x03\x01\r\n\r\n")
    wanted, other = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert wanted.pop("time") and wanted.pop("ms") >= 0
    assert wanted == {
        "client": "daemon", "method": "GET", "path": f"{VERSION}/info", "status": 400,
        "reason": reason,
    }  # fmt: skip
    assert other["client"] == "daemon" and other["status"] == 400


def test_a_failure_of_the_gateway_lets_nothing_through(
    daemon: Caller,
    engine: EngineStandIn,
    service: dict[str, Any],
    run: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    engine.containers[run]["Config"] = None
    found = daemon.ask("POST", f"{VERSION}/containers/{run}/start")
    assert found.status == 500 and "its log" in found.reason
    assert not engine.sent
    assert "AttributeError" in json.loads(capfd.readouterr().out)["traceback"]


def test_the_sockets_are_for_every_user(daemon: Caller) -> None:
    assert isinstance(daemon.connect(), socket.socket)
    assert daemon.path.stat().st_mode & 0o777 == 0o666


async def _set(engine: EngineStandIn) -> None:
    engine.over.set()

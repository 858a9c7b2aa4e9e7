"""What the Docker gateway tells of containers, as rows of gauges."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer
from typing import Any

import pytest

from stack_exporter.containers import FAMILIES, Containers


class Gateway(UnixStreamServer):
    """Answers with what a test has put in."""

    status = 200
    rows: list[dict[str, Any]]

    def get_request(self) -> tuple[Any, Any]:
        """The handler logs an address, of which a Unix socket has none."""
        request, _ = super().get_request()
        return request, ("gateway", 0)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Gateway) and self.path == "/v1.45/usage"
        body = json.dumps(self.server.rows).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(str(tmp_path / "docker.sock"), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def row(key: str, kind: str, cpu: float) -> dict[str, Any]:
    return {"id": key, "kind": kind, "service": "elt", "memory": 10, "limit": 100, "cpu": cpu}


def test_runs_that_come_and_go_count_while_they_are_there(gateway: Gateway, tmp_path: Path) -> None:
    times = iter([100.0, 110.0, 120.0])
    containers = Containers(tmp_path / "docker.sock", lambda: next(times))
    gateway.rows = [row("a", "service", 50.0), row("b", "run", 3.0)]
    rows = containers.look()
    assert FAMILIES[0].samples(rows) == {("service", "elt"): 10, ("run", "elt"): 10}
    assert FAMILIES[2].samples(rows) == {}
    # b has ended; c and d began since.
    gateway.rows = [row("a", "service", 55.0), row("c", "run", 2.0), row("d", "run", 3.0)]
    rows = containers.look()
    memory, limit, cores, number = (family.samples(rows) for family in FAMILIES)
    assert memory[("run", "elt")] == 20 and limit[("run", "elt")] == 200
    assert cores == {("service", "elt"): 0.5, ("run", "elt"): 0.5}
    assert number == {("service", "elt"): 1, ("run", "elt"): 2}
    # A container that was started again counts from zero.
    gateway.rows = [row("a", "service", 1.0)]
    assert FAMILIES[2].samples(containers.look()) == {("service", "elt"): 0}


def test_a_gateway_that_refuses_is_an_error(gateway: Gateway, tmp_path: Path) -> None:
    gateway.rows, gateway.status = [], 403
    with pytest.raises(ValueError, match="answers with 403"):
        Containers(tmp_path / "docker.sock").look()

"""The workspace file is handed over whole, or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from control_plane.errors import StackError
from control_plane.publication import newcomers, publish, reload

GOOD = "load_from: [{grpc_server: {host: elt, port: 4000, location_name: elt}}]"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A workspace that was published before."""
    (tmp_path / "published").mkdir()
    target = tmp_path / "published" / "workspace.yaml"
    target.write_text("before")
    return target


def test_a_good_file_takes_the_place_of_the_old_one(tmp_path: Path, target: Path) -> None:
    (tmp_path / "workspace.yaml").write_text(GOOD)
    assert publish(tmp_path / "workspace.yaml", target) == ["elt"]
    assert target.read_text() == GOOD
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("text", ["load_from: [", "load_from: [{python_module: x}]", "", "\0"])
def test_a_bad_file_changes_nothing(tmp_path: Path, target: Path, text: str) -> None:
    (tmp_path / "workspace.yaml").write_text(text)
    with pytest.raises(StackError, match=r"workspace\.yaml"):
        publish(tmp_path / "workspace.yaml", target)
    assert target.read_text() == "before"


def test_new_locations_are_those_that_were_not_published(tmp_path: Path, target: Path) -> None:
    source = tmp_path / "workspace.yaml"
    source.write_text(GOOD)
    assert newcomers(source, target) == {"elt": "elt:4000"}
    publish(source, target)
    assert newcomers(source, target) == {}
    target.unlink()
    assert newcomers(source, target) == {}


Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a webserver that gives these answers, the last one for ever; its address."""
    servers: list[HTTPServer] = []

    def start(*answers: tuple[int, dict[str, Any]]) -> str:
        left = list(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                status, body = left.pop(0) if len(left) > 1 else left[0]
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_webserver_that_is_not_ready_is_waited_for_and_told(serve: Serve) -> None:
    answer = {"data": {"reloadWorkspace": {"__typename": "Workspace"}}}
    assert reload(serve((503, {}), (200, answer)), seconds=10)


def test_a_webserver_that_cannot_read_it_is_an_error(serve: Serve) -> None:
    answer = {"data": {"reloadWorkspace": {"__typename": "PythonError", "message": "no colon"}}}
    with pytest.raises(StackError, match="no colon"):
        reload(serve((200, answer)), seconds=10)


def test_without_a_webserver_nobody_is_waited_for() -> None:
    assert not reload("http://no-such-host.invalid:3000", seconds=60)


def test_a_webserver_that_never_answers_is_an_error() -> None:
    with pytest.raises(StackError, match=r"127\.0\.0\.1:9 does not answer"):
        reload("http://127.0.0.1:9", seconds=0.1)

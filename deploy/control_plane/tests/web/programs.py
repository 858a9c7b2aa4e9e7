"""The web gateway, and programs before it, as processes on loopback: no engine, no stack."""

from __future__ import annotations

import functools
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from control_plane.web_access import hash_password, keep_users, with_user

ROOT = Path(__file__).resolve().parents[4]
RULES = ROOT / "deploy/gateway/web"
PASSWORD = "a-password-of-tests"
# alice, with that password.
LOGIN = {"Authorization": "Basic YWxpY2U6YS1wYXNzd29yZC1vZi10ZXN0cw=="}
JSON = {"Content-Type": "application/json"}
PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@functools.cache
def programs() -> Path:
    """The folder with haproxy, nginx and caddy; skips the test where they cannot be had."""
    command = [ROOT / ".ci/debian-programs", "haproxy", "nginx", "caddy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(
            f"haproxy, nginx, caddy of Debian: {done.stderr.strip()}", allow_module_level=True
        )
    return Path(done.stdout.strip())


def free_port() -> int:
    """A port of loopback on which nothing listens."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(ready: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    """What ``ready`` gives once that is true; an OSError counts as not yet."""
    end = time.monotonic() + seconds
    while True:
        try:
            if found := ready():
                return found
        except OSError:
            pass
        assert time.monotonic() < end, f"{what}: not after {seconds} s"
        time.sleep(0.02)


@dataclass
class Answer:
    """An answer to one request."""

    status: int
    headers: list[tuple[str, str]]
    body: str

    def header(self, name: str) -> list[str]:
        """Each value of a header."""
        return [value for key, value in self.headers if key.lower() == name]


def ask(
    port: int,
    path: str,
    headers: dict[str, str] | None = None,
    body: str | None = None,
    client: str = "127.0.0.1",
    method: str = "",
    server: str = "127.0.0.1",
) -> Answer:
    """Send one request; ``client`` and ``server`` are addresses of 127.0.0.0/8."""
    connection = HTTPConnection(server, port, timeout=30, source_address=(client, 0))
    with closing(connection):
        connection.request(method or ("POST" if body else "GET"), path, body, headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read().decode())


@dataclass
class Gateway:
    """A gateway that runs."""

    port: int
    output: Path

    def lines(self) -> list[dict[str, Any]]:
        """Its log."""
        lines = self.output.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def logged(self, **expected: Any) -> dict[str, Any]:
        """The first line that says all of this, once it is there."""

        def found() -> dict[str, Any] | None:
            for line in self.lines():
                if expected.items() <= line.items():
                    return line
            return None

        line: dict[str, Any] = until(found, f"{expected} in {self.output}", seconds=10)
        return line


def prepare(folder: Path, port: int) -> None:
    """A copy of the gateway's files whose fixed paths and ports are in ``folder`` and free."""
    (folder / "secrets").mkdir(parents=True)
    users = with_user("", "alice", "editor", hash_password(PASSWORD))
    keep_users(folder / "secrets", users, None)
    # What `host` stands for: here the gateway of the default route is 127.0.0.1.
    (folder / "route").write_text(
        "Iface\tDestination\tGateway\tFlags\neth0\t00000000\t0100007F\t0003\n"
    )
    moved = {
        "/usr/local/etc/haproxy/": f"{folder}/",
        "/run/secrets": f"{folder}/secrets",
        "/proc/net/route": f"{folder}/route",
        "bind :8080": f"bind 127.0.0.1:{port}",
        "bind 127.0.0.1:8081": f"bind 127.0.0.1:{free_port()}",
        # A master would restart itself, without the libraries that it was started with.
        "set -- -W -db": "set -- -db",
    }
    for name in ("haproxy.cfg", "reasons.map", "starting.html", "web-gateway"):
        text = (RULES / name).read_text()
        for given, here in moved.items():
            text = text.replace(given, here)
        (folder / name).write_text(text)
    (folder / "web-gateway").chmod(0o755)


def environment(settings: dict[str, str]) -> dict[str, str]:
    """The gateway's environment."""
    return {"PATH": f"{programs()}:{os.defpath}", "WEB_LOG": "all", **settings}


@contextmanager
def running(command: list[str], output: Path, **options: Any) -> Iterator[None]:
    """A process with its output in a file; it has ended when this does."""
    with output.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, **options)
        try:
            yield
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def gateway(folder: Path, webserver: int, **settings: str) -> Iterator[Gateway]:
    """A gateway with these settings before the webserver on this port."""
    port = free_port()
    prepare(folder, port)
    output = folder / "output"
    given = environment({"WEBSERVER_ADDRESS": f"127.0.0.1:{webserver}", **settings})
    with running([str(folder / "web-gateway")], output, env=given):
        until(lambda: socket.create_connection(("127.0.0.1", port)).close() is None, str(output))
        yield Gateway(port, output)


def refused(folder: Path, **settings: str) -> str:
    """What the gateway says of settings with which it does not start."""
    prepare(folder, free_port())
    done = subprocess.run(
        [folder / "web-gateway"],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    assert done.returncode
    return done.stderr

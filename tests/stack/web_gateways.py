"""Web gateways for tests: of the stack's own image, before its webserver, with other settings."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from harness import engine, free_port, until
from web_gateway_requests import JSON, Headers


@dataclass
class Upstream:
    """A gateway's image, the network that it joins, and where it finds a webserver there."""

    image: str
    network: str
    webserver: str
    # The image that makes users and certificates.
    secrets: str


@dataclass
class Answer:
    """What came back for one request."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass
class Gateway:
    """A running gateway."""

    port: int
    container: str
    tls: bool = False

    @property
    def host(self) -> str:
        """What a browser sends as Host."""
        return f"localhost:{self.port}"

    def logs(self) -> list[dict[str, Any]]:
        """The lines of its access log."""
        # Of the engine itself: `docker logs` takes ten times as long, and each test looks twice.
        path = f"/containers/{self.container}/logs"
        lines = engine("GET", path, params={"stdout": 1}).content.split(b"\n")
        # Each line comes in a frame: 8 bytes say its stream and its length.
        return [json.loads(line[8:]) for line in lines if line[8:9] == b"{"]

    def logged(self, before: int, **expected: Any) -> dict[str, Any]:
        """The line after the first ``before`` ones that says all of this, once it is there."""

        def found() -> dict[str, Any]:
            lines = self.logs()[before:]
            for line in lines:
                if expected.items() <= line.items():
                    return line
            raise AssertionError(f"{expected} not among {lines}")

        return until(found, seconds=10, every=0.05)

    def send(self, data: bytes) -> Answer:
        """Send bytes as they are; the first answer."""
        with self._connect() as connection:
            connection.sendall(data)
            # It must know of HEAD, whose answer announces a body that does not come.
            response = HTTPResponse(connection, method=data.partition(b" ")[0].decode("latin-1"))
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            body = "" if response.status == 101 else response.read().decode(errors="replace")
            return Answer(response.status, headers, body)

    def _connect(self) -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        if not self.tls:
            return plain
        # Its certificate is self-signed.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(plain, server_hostname="localhost")

    def ask(
        self, method: str, target: str, headers: Headers | None = None, body: str | None = None
    ) -> Answer:
        """Send one request, with Host and Content-Length unless given or nothing to say."""
        lines = list(headers or [])
        names = {name.lower() for name, _ in lines}
        if "host" not in names:
            lines.insert(0, ("Host", self.host))
        if body is not None and not names & {"content-length", "transfer-encoding"}:
            lines.append(("Content-Length", str(len(body.encode()))))
        lines = [(name, value.replace("{host}", self.host)) for name, value in lines]
        head = "".join(f"{name}: {value}\r\n" for name, value in lines)
        return self.send(f"{method} {target} HTTP/1.1\r\n{head}\r\n{body or ''}".encode("latin-1"))

    def answers(self) -> None:
        """Raises AssertionError while it does not."""
        try:
            self.ask("OPTIONS", "/")
        except (OSError, HTTPException) as error:
            raise AssertionError(f"{self.container} does not answer") from error

    def subscribe(self, origin: str | None) -> ClientConnection:
        """A WebSocket on which Dagster has accepted to talk of subscriptions."""
        websocket = connect(
            f"ws://{self.host}/graphql",
            subprotocols=[Subprotocol("graphql-ws")],
            origin=Origin(origin) if origin else None,
            open_timeout=30,
            legacy=True,
        )
        websocket.send(json.dumps({"type": "connection_init"}))
        assert json.loads(websocket.recv(30))["type"] == "connection_ack"
        return websocket

    def graphql(self, query: str, variables: dict[str, Any] | None = None) -> Answer:
        """Ask GraphQL, as a program other than a browser does."""
        body = json.dumps({"query": query, "variables": variables or {}})
        return self.ask("POST", "/graphql", [JSON], body)


def in_secrets(upstream: Upstream, volume: str, *command: str, stdin: str = "") -> None:
    """Run Python in the image of the secrets, with a volume in the gateway's place."""
    mount = f"--volume={volume}:/secrets/web_gateway"
    subprocess.run(
        [
            *("docker", "run", "--rm", "--interactive", "--network=none", mount),
            *("--entrypoint=python", upstream.secrets, "-m", *command),
        ],
        input=stdin,
        text=True,
        check=True,
        capture_output=True,
    )


@contextmanager
def web_gateway(
    upstream: Upstream,
    volume: str | None = None,
    networks: Sequence[str] = (),
    **settings: str,
) -> Iterator[Gateway]:
    """A gateway of its own, that logs all requests unless told otherwise.

    ``volume`` holds users and certificate; with one it requires login over TLS. ``networks`` are
    further ones, as ``docker run --network`` takes them.
    """
    gateway = Gateway(free_port(), f"webgw-{uuid.uuid4().hex[:8]}", tls=volume is not None)
    given = {"WEBSERVER_ADDRESS": upstream.webserver, "WEB_LOG": "all"}
    given |= {"WEBSERVER_VIEWER_ADDRESS": upstream.webserver, **settings}
    command = [
        *("docker", "run", "--detach", "--name", gateway.container, "--network", upstream.network),
        *(f"--network={network}" for network in networks),
        *("--publish", f"127.0.0.1:{gateway.port}:8080", "--read-only", "--cap-drop=ALL"),
        *(["--volume", f"{volume}:/run/secrets:ro", "--env=WEB_BIND=0.0.0.0"] if volume else []),
        *(f"--env={name}={value}" for name, value in given.items()),
        upstream.image,
    ]
    try:
        subprocess.run(command, check=True, capture_output=True)
        until(gateway.answers, seconds=30)
        yield gateway
    finally:
        subprocess.run(["docker", "rm", "--force", gateway.container], capture_output=True)

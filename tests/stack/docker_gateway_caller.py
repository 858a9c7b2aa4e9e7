"""Calls to the Docker gateway, sent byte by byte from the containers that may make them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from harness import Stack, until

VERSION = "/v1.45"

# Runs inside the service's container, for the socket that is mounted there.
_RELAY = """
import json, socket, sys
from http.client import HTTPResponse

for line in sys.stdin:
    request = json.loads(line)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect("/run/docker/docker.sock")
        connection.sendall(bytes.fromhex(request["bytes"]))
        response = HTTPResponse(connection, method=request["method"])
        try:
            response.begin()
            answer = [response.status, response.read().decode(errors="replace")]
        except Exception as error:
            answer = [0, str(error)]
    print(json.dumps(answer), flush=True)
"""

# The body of a run container as the launcher makes it, for the image that a location serves.
_COPY = """
import json, sys
from compose_run_launcher import commands, labels
from compose_run_launcher.engine import Engine
from compose_run_launcher.limits import apply, limits
from compose_run_launcher.service_copy import run_container

project, location, run_id = sys.argv[1:]
engine = Engine(project)
service = engine.service_containers(location)[0]
container = run_container(
    service,
    engine.image(service["Image"]),
    image=service["Config"]["Image"],
    command=["sleep", "300"],
    environment={},
    labels=labels.for_run(project, location, run_id, "attack"),
)
apply(container.config["HostConfig"], limits({}, service))
print(json.dumps(container.config))
"""


@dataclass
class Answer:
    """What came back: the HTTP status, 0 without one, and the body."""

    status: int
    body: str

    @property
    def reason(self) -> str:
        """Why the gateway refused; empty when it was the engine that answered."""
        said = json.loads(self.body)["message"] if self.body.startswith("{") else ""
        words = str(said)
        return words.removeprefix("docker gateway: ") if words.startswith("docker gateway") else ""


@dataclass
class Caller:
    """A service that talks to the gateway."""

    stack: Stack
    service: str
    to: IO[str]
    back: IO[str]
    # Id of the gateway's container.
    gateway: str

    def send(self, data: bytes) -> Answer:
        """Send bytes as they are; the first answer."""
        method = data.partition(b" ")[0].decode("latin-1")
        self.to.write(json.dumps({"bytes": data.hex(), "method": method}) + "\n")
        self.to.flush()
        return Answer(*json.loads(self.back.readline()))

    def ask(
        self,
        method: str,
        target: str,
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send one request; a body that is not a string is sent as JSON."""
        text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
        content = text.encode()
        sent = {"Host": "docker", "Connection": "close", "Content-Length": str(len(content))}
        if content:
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value)
        head = f"{method} {target} HTTP/1.1\r\n{lines}\r\n"
        return self.send(head.encode("latin-1") + content)

    def logged(self, reason: str) -> dict[str, Any]:
        """The gateway's line about a refusal for this reason, once it is there."""

        def found() -> dict[str, Any]:
            shown = self.stack.run("docker", "logs", "--tail=100", self.gateway)
            for line in reversed(shown.splitlines()):
                if line.startswith("{") and json.loads(line).get("reason") == reason:
                    said: dict[str, Any] = json.loads(line)
                    return said
            raise AssertionError(f"{reason!r} is not in the gateway's log")

        return until(found, seconds=10)


@contextmanager
def caller(stack: Stack, service: str) -> Iterator[Caller]:
    """Calls from inside a service's container."""
    command = ["docker", "compose", "exec", "-T", service, "python", "-c", _RELAY]
    with subprocess.Popen(
        command,
        cwd=stack.folder,
        env=stack.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as relay:
        assert relay.stdin and relay.stdout
        gateway = stack.container("docker_gateway")
        yield Caller(stack, service, relay.stdin, relay.stdout, gateway)
        relay.stdin.close()


def copy_of(stack: Stack, location: str, run_id: str) -> dict[str, Any]:
    """What the launcher asks the engine to create for a run of a location."""
    command = ["exec", "-T", "daemon", "python", "-c", _COPY]
    made: dict[str, Any] = json.loads(stack.compose(*command, stack.project, location, run_id))
    return made

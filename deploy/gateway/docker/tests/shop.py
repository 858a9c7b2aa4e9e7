"""A stack called shop: what its launcher asks for, and how."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

PROJECT = "shop"
LOCATION = "elt"
VERSION = "/v1.45"
RUN_ID = "11111111-1111-1111-1111-111111111111"
RUN_NAME = f"{PROJECT}-run-{RUN_ID}"
TICKET = "abcdefabcdef"
CREATE = f"{VERSION}/containers/create?name="

# As compose_run_launcher.service_copy.
_NOT_A_RUNS = {
    *("AttachStderr", "AttachStdin", "AttachStdout", "Domainname", "ExposedPorts", "Hostname"),
    *("MacAddress", "OnBuild", "OpenStdin", "StdinOnce", "Tty", "Volumes"),
}
_NOT_A_RUNS_HOST_CONFIG = {
    *("AutoRemove", "ConsoleSize", "ContainerIDFile", "Links", "PortBindings"),
    *("PublishAllPorts", "RestartPolicy"),
}


@dataclass
class Answer:
    """What came back: the HTTP status, the headers, the body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def reason(self) -> str:
        """Why the gateway refused; empty when it was the engine that answered."""
        if not self.body.startswith(b'{"message": "docker gateway: '):
            return ""
        return str(json.loads(self.body)["message"]).removeprefix("docker gateway: ")


@dataclass
class Caller:
    """Talks to one socket of the gateway."""

    path: Path

    def connect(self) -> socket.socket:
        """A connection of its own."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        connection.connect(str(self.path))
        return connection

    def send(self, data: bytes, method: str = "GET") -> Answer:
        """Send bytes as they are; the first answer."""
        with self.connect() as connection:
            connection.sendall(data)
            return answer(connection, method)

    def ask(self, method: str, target: str, body: object = None) -> Answer:
        """Send one request as docker-py does."""
        content = b"" if body is None else json.dumps(body).encode()
        return self.send(request(method, target, content), method)


def answer(connection: socket.socket, method: str = "GET") -> Answer:
    """The next answer on a connection."""
    response = HTTPResponse(connection, method=method)
    response.begin()
    return Answer(response.status, dict(response.getheaders()), response.read())


def request(method: str, target: str, content: bytes = b"", *more: str) -> bytes:
    """The bytes of a request; ``more`` are further lines of its head."""
    kind = ["Content-Type: application/json"] if content else []
    head = [
        f"{method} {target} HTTP/1.1",
        "Host: docker",
        f"Content-Length: {len(content)}",
        *kind,
        *more,
    ]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + content


def run_labels(run_id: str = RUN_ID) -> dict[str, str]:
    """Of a container that is made for its run."""
    return {
        "compose_run_launcher.project": PROJECT,
        "compose_run_launcher.location": LOCATION,
        "compose_run_launcher.role": "run",
        "dagster/run_id": run_id,
        "dagster/job_name": "load",
    }


def standby_labels(service_id: str) -> dict[str, str]:
    """Of a standby worker."""
    return {
        "compose_run_launcher.project": PROJECT,
        "compose_run_launcher.location": LOCATION,
        "compose_run_launcher.role": "run",
        "compose_run_launcher.service": service_id,
        "compose_run_launcher.ticket": TICKET,
    }


def copy_of(service: dict[str, Any], image: dict[str, Any], own: dict[str, str]) -> dict[str, Any]:
    """What the launcher asks the engine to create."""
    of_image = image["Config"]
    config = {key: value for key, value in service["Config"].items() if key not in _NOT_A_RUNS}
    for key in ("User", "WorkingDir", "Entrypoint", "StopSignal", "Shell", "ArgsEscaped"):
        if config.get(key) == of_image.get(key):
            config.pop(key, None)
    host = service["HostConfig"].items()
    host_config = {key: value for key, value in host if key not in _NOT_A_RUNS_HOST_CONFIG}
    own_labels = {
        name: text
        for name, text in config["Labels"].items()
        if not name.startswith("com.docker.compose.") and of_image["Labels"].get(name) != text
    }
    blank = dict.fromkeys((name for name in of_image["Labels"] if "compose" in name), "")
    return config | {
        "Cmd": ["python", "-c", "work"],
        "Env": [
            *(entry for entry in config["Env"] if entry not in of_image["Env"]),
            "DAGSTER_RUN_JOB_NAME=load",
        ],
        "Labels": blank | own_labels | own,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host_config | {"CpuShares": 512, "OomScoreAdj": 500},
    }

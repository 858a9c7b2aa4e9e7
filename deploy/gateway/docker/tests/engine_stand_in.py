"""Answers as Docker Engine does, and keeps what it was sent."""

from __future__ import annotations

import asyncio
import copy
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from shop import RUN_NAME, VERSION, Answer, run_labels


@dataclass(frozen=True)
class Request:
    """One request, byte by byte."""

    head: bytes
    body: bytes

    @property
    def line(self) -> str:
        """Method and target."""
        return self.head.split(b"\r\n")[0].decode().removesuffix(" HTTP/1.1")

    @property
    def headers(self) -> list[str]:
        """The lines after the first."""
        return self.head.decode().split("\r\n")[1:]


class EngineStandIn:
    """An engine with what tests put into it."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.containers: dict[str, dict[str, Any]] = {}
        self.images: dict[str, dict[str, Any]] = {}
        self.networks: dict[str, dict[str, Any]] = {}
        self.requests: list[Request] = []
        # A stream of events goes on until this is set.
        self.over = asyncio.Event()
        self.reader_left = asyncio.Event()

    def add(self, container: dict[str, Any]) -> str:
        """Put a container in; its id."""
        self.containers[container["Id"]] = container
        return str(container["Id"])

    def add_run(self, service: dict[str, Any], location: str, **labels: str) -> str:
        """A run's container."""
        run = copy.deepcopy(service)
        own = run_labels() | {"compose_run_launcher.location": location}
        run["Config"]["Labels"] = own | {"com.docker.compose.project": ""} | labels
        return self.add(run | {"Id": "e" * 64, "Name": f"/{RUN_NAME}"})

    @property
    def sent(self) -> list[Request]:
        """What it was asked to do, and not only asked about."""
        return [each for each in self.requests if not each.line.startswith("GET ")]

    async def start(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_unix_server(self._serve, self.socket)

    async def stop(self) -> None:
        """End."""
        self.over.set()
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n")
        length = re.search(rb"\r\nContent-Length: (\d+)", head)
        request = Request(head, await reader.readexactly(int(length[1]) if length else 0))
        self.requests.append(request)
        method, _, target = request.line.partition(" ")
        path, _, query = target.partition("?")
        if path == f"{VERSION}/events":
            await self._stream(reader, writer)
        else:
            status, value = self._answer(method, path.removeprefix(VERSION), query)
            content = b"" if value is None else json.dumps(value).encode()
            kind = "Content-Type: application/json\r\nServer: Docker/26.1.5\r\n"
            head = f"HTTP/1.1 {status} x\r\n{kind}Content-Length: {len(content)}\r\n\r\n".encode()
            writer.write(head + content)
        writer.close()

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b'Transfer-Encoding: chunked\r\n\r\n9\r\n{"at":1}\n\r\n'
        )
        left = asyncio.create_task(reader.read())
        over = asyncio.create_task(self.over.wait())
        await asyncio.wait([left, over], return_when=asyncio.FIRST_COMPLETED)
        if left.done():
            self.reader_left.set()
        writer.write(b'9\r\n{"at":2}\n\r\n0\r\n\r\n')

    def _answer(self, method: str, path: str, query: str) -> tuple[int, Any]:
        if method != "GET":
            return {"POST": (201, {"Id": "f" * 64}), "DELETE": (204, None)}.get(method, (200, None))
        if path == "/containers/json":
            return 200, self._listed(json.loads(parse_qs(query)["filters"][0]))
        if match := re.fullmatch(r"/containers/([^/]+)/json", path):
            named = {each["Name"]: each for each in self.containers.values()}
            return _found(self.containers.get(match[1]) or named.get(f"/{match[1]}"))
        if match := re.fullmatch(r"/containers/([^/]+)/stats", path):
            return _found(self.containers.get(match[1], {}).get("stats"))
        if match := re.fullmatch(r"/images/(.+)/json", path):
            name = unquote(match[1])
            tagged = {tag: each for each in self.images.values() for tag in each["RepoTags"]}
            return _found(self.images.get(name) or tagged.get(name))
        if match := re.fullmatch(r"/networks/([^/]+)", path):
            return 200, {"Id": match[1], "Labels": {}} | self.networks.get(match[1], {})
        return 200, {"path": path}

    def _listed(self, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
        wanted = dict(each.split("=", 1) for each in filters["label"])
        return [
            {
                **{"Id": each["Id"], "Created": number, "Names": [each["Name"]]},
                "Labels": each["Config"]["Labels"],
            }
            for number, each in enumerate(self.containers.values())
            if wanted.items() <= each["Config"]["Labels"].items()
        ]


def _found(value: Any) -> tuple[int, Any]:
    return (404, {"message": "No such thing"}) if value is None else (200, value)


def refused(engine: EngineStandIn, answer: Answer, *status: int) -> None:
    """By the gateway with a reason, and with nothing asked of the engine but whose a thing is."""
    assert answer.status in (status or (400, 403)) and answer.reason, answer
    assert not engine.sent
    assert all("/logs" not in each.line for each in engine.requests)

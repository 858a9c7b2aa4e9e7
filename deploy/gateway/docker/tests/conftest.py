"""The gateway in this process, in front of a stand-in for the engine.

The stand-in answers as Engine 26 does, from what one has said of a service container; what it was
sent is kept byte by byte. That a real engine takes it is shown by tests/stack/docker_gateway.
"""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from engine_stand_in import EngineStandIn
from shop import (
    CREATE,
    LOCATION,
    PROJECT,
    RUN_NAME,
    VERSION,
    Answer,
    Caller,
    copy_of,
    request,
    run_labels,
)

from docker_gateway.engine import Engine
from docker_gateway.rules import CALLERS
from docker_gateway.server import Gateway

RECORDED = json.loads((Path(__file__).parent / "recorded_service.json").read_text())


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread: tests talk to it by sockets, as callers do."""
    found = asyncio.new_event_loop()
    thread = threading.Thread(target=found.run_forever, daemon=True)
    thread.start()
    yield found
    found.call_soon_threadsafe(found.stop)
    thread.join()


@pytest.fixture(scope="session")
def within(loop: asyncio.AbstractEventLoop) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine in that loop; its result."""
    return lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(30)


@pytest.fixture
def service() -> dict[str, Any]:
    """The service container of a code location, as inspected."""
    found: dict[str, Any] = copy.deepcopy(RECORDED["container"])
    return found


@pytest.fixture
def engine(
    tmp_path: Path, service: dict[str, Any], within: Callable[..., Any]
) -> Iterator[EngineStandIn]:
    """An engine with one code location."""
    stand_in = EngineStandIn(tmp_path / "engine.sock")
    stand_in.add(service)
    stand_in.images[service["Image"]] = copy.deepcopy(RECORDED["image"])
    within(stand_in.start())
    yield stand_in
    within(stand_in.stop())


class Clock:
    """Monotonic time that only tests move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The gateway's clock."""
    return Clock()


@pytest.fixture
def gateway(
    tmp_path: Path, engine: EngineStandIn, clock: Clock, within: Callable[..., Any]
) -> Iterator[Path]:
    """The folder with the sockets of a gateway that runs."""

    async def start() -> tuple[Gateway, Engine]:
        client = Engine(str(engine.socket))
        made = Gateway(PROJECT, client, clock)
        for caller in CALLERS:
            await made.listen(caller, tmp_path / f"{caller}.sock")
        return made, client

    async def stop(made: Gateway, client: Engine) -> None:
        await made.close()
        await client.close()

    made, client = within(start())
    yield tmp_path
    within(stop(made, client))


@pytest.fixture
def daemon(gateway: Path) -> Caller:
    """The one that launches."""
    return Caller(gateway / "daemon.sock")


@pytest.fixture
def webserver(gateway: Path) -> Caller:
    """The one that ends runs."""
    return Caller(gateway / "webserver.sock")


@pytest.fixture
def rpc_networks(gateway: Path) -> Caller:
    """The one that joins the control plane to networks of code servers."""
    return Caller(gateway / "rpc_networks.sock")


@pytest.fixture
def exporter(gateway: Path) -> Caller:
    """The one that reads numbers."""
    return Caller(gateway / "exporter.sock")


@pytest.fixture
def run(engine: EngineStandIn, service: dict[str, Any]) -> str:
    """Id of a run's container."""
    return engine.add_run(service, LOCATION)


@pytest.fixture
def send() -> Callable[[Caller, bytes], Answer]:
    """Sends a body as it is, to create a run's container."""
    return lambda caller, content: caller.send(request("POST", CREATE + RUN_NAME, content))


@pytest.fixture
def events() -> str:
    """The target of a stream of events."""
    filters = {"type": ["container"], "label": [f"compose_run_launcher.project={PROJECT}"]}
    return f"{VERSION}/events?since=1&filters={quote(json.dumps(filters))}"


@pytest.fixture
def body(service: dict[str, Any], engine: EngineStandIn) -> dict[str, Any]:
    """What the launcher sends for a copy of the service; the test may change it."""
    return copy_of(service, engine.images[service["Image"]], run_labels())

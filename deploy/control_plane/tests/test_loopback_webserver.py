"""The webserver without a gateway: what web pages could do is refused, what people do passes."""

from __future__ import annotations

from typing import Any

import pytest
from dagster_webserver.webserver import DagsterWebserver
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from control_plane.loopback_webserver import LoopbackGuard, guard

URL = "http://localhost:3000"
JSON = {"content-type": "application/json"}
OWN = {"origin": URL, "sec-fetch-site": "same-origin"}
CROSS = {"sec-fetch-site": "cross-site"}
PAGE = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
REPORT = "/report_asset_materialization/a"


async def _answer(_: Request) -> PlainTextResponse:
    return PlainTextResponse("reached")


async def _accept(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


@pytest.fixture
def client() -> TestClient:
    """A client of a webserver's shape behind the guard."""
    routes = [
        WebSocketRoute("/graphql", _accept),
        Route("/{path:path}", _answer, methods=["GET", "POST", "PUT"]),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(LoopbackGuard)])
    return TestClient(app, base_url=URL)


@pytest.mark.parametrize(
    ("rule", "method", "path", "headers"),
    [
        ("host", "GET", "/", {"host": "evil.example"}),
        ("host", "GET", "/", {"host": "localhost.evil.example:3000"}),
        ("host", "POST", "/graphql", {"host": "a.b", "origin": "http://a.b", **JSON}),
        ("origin", "POST", "/graphql", {"origin": "https://evil.example", **JSON}),
        ("origin", "POST", "/graphql", {"origin": "http://localhost:3001", **JSON}),
        ("origin", "POST", "/graphql", {"origin": "null", **JSON}),
        ("origin", "POST", REPORT, {"origin": "https://evil.example"}),
        ("cross-site", "POST", "/graphql", {**CROSS, **JSON}),
        ("cross-site", "POST", "/graphql", {"sec-fetch-site": "same-site", **JSON}),
        ("cross-site", "POST", REPORT, {**CROSS, **PAGE}),
        ("cross-site", "GET", "/", {**CROSS, "sec-fetch-dest": "image"}),
        ("graphql-get", "GET", "/graphql?query=mutation", {}),
        ("graphql-get", "GET", "/%67raphql?query=mutation", {}),
        ("graphql-get", "GET", "/graphql?query=mutation", {**CROSS, **PAGE}),
        ("graphql-get", "GET", "/dagster/graphql?query=mutation", {}),
        ("content-type", "POST", "/dagster/graphql", {}),
        ("content-type", "POST", "/graphql", {}),
        ("content-type", "POST", "/graphql", {"content-type": "text/plain"}),
        ("content-type", "POST", "/graphql", {"content-type": "text/plain; application/json"}),
        ("content-type", "POST", REPORT, {"content-type": "text/plain"}),
    ],
)
def test_refused(
    client: TestClient, rule: str, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = client.request(method, path, headers=headers)
    assert answer.status_code == 403
    assert answer.text.startswith(f"refused, rule {rule}:")


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/runs?status=x", OWN),
        ("GET", "/", {**CROSS, **PAGE}),
        ("GET", "/graphql", {}),
        ("GET", "/", {"host": "[::1]:3000"}),
        ("POST", "/graphql?op=x", {**OWN, **JSON}),
        ("POST", "/graphql", {"content-type": "application/json; charset=utf-8"}),
        ("POST", REPORT, {}),
        ("POST", REPORT, JSON),
    ],
)
def test_passes(client: TestClient, method: str, path: str, headers: dict[str, str]) -> None:
    assert client.request(method, path, headers=headers).text == "reached"


def test_a_websocket_of_another_page(client: TestClient) -> None:
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/graphql", headers={"origin": "https://evil.example"}),
    ):
        pass
    with client.websocket_connect("/graphql", headers={"host": "localhost:3000", "origin": URL}):
        pass


def test_dagsters_webserver_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given: Any = DagsterWebserver.build_middleware
    monkeypatch.setattr(DagsterWebserver, "build_middleware", given)
    guard()
    built = DagsterWebserver.build_middleware(object())  # type: ignore[arg-type]
    assert next(one.cls for one in built) is LoopbackGuard
    assert len(built) == len(given(object())) + 1

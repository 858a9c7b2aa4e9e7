"""The UI behind the gateway: a run is launched, watched while it goes on, and terminated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pytest_httpserver import HTTPServer

from browser import launch_watch_and_terminate, needs_browser, new_page
from web_gateways import Gateway

pytestmark = needs_browser


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a browser."""
    with new_page() as page:
        yield page


@pytest.fixture
def nothing_forbidden(page: Page) -> Iterator[None]:
    """No policy that the gateway sends may have stopped anything of the page's own."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    yield
    assert not [text for text in said if "Content Security Policy" in text]


@pytest.mark.usefixtures("nothing_forbidden")
def test_launch_watch_and_terminate(
    gateway: Gateway, location: str, page: Page, artifacts: Path
) -> None:
    before = len(gateway.logs())
    page.goto(f"http://{gateway.host}/locations/{location}/jobs/hanging_job/playground")
    run = launch_watch_and_terminate(page, artifacts / "ui-behind-the-gateway.png")
    refused = [line for line in gateway.logs()[before:] if line["rule"]]
    assert refused == []
    gateway.logged(before, mutation="launchPipelineExecution", run=run)
    gateway.logged(before, mutation="terminateRuns")


@pytest.mark.usefixtures("nothing_forbidden")
def test_graphiql_is_drawn(gateway: Gateway, page: Page) -> None:
    page.goto(f"http://{gateway.host}/graphql")
    expect(page.get_by_text("Welcome to GraphiQL").first).to_be_visible()


def test_a_page_of_another_port_can_do_nothing(
    gateway: Gateway, page: Page, httpserver: HTTPServer
) -> None:
    """As a browser does it, not as it is imagined: from a page of this very machine."""
    before = len(gateway.logs())
    httpserver.expect_request("/").respond_with_data("<p>evil</p>", content_type="text/html")
    page.goto(f"http://localhost:{httpserver.port}/")
    page.evaluate(
        """async url => {
            const body = JSON.stringify({query: "mutation { reloadWorkspace { __typename } }"});
            const text = {"Content-Type": "text/plain"};
            const json = {"Content-Type": "application/json"};
            const silent = () => null;
            await fetch(url, {method: "POST", mode: "no-cors", headers: text, body}).catch(silent);
            await fetch(url, {method: "POST", headers: json, body}).catch(silent);
            await fetch(url + "?query=mutation{x}", {mode: "no-cors"}).catch(silent);
            const loaded = tag => new Promise(done => {
                const element = document.createElement(tag);
                element.onload = element.onerror = done;
                element.src = url + "?query=mutation{x}";
                document.body.append(element);
            });
            for (const tag of ["img", "script", "iframe"]) await loaded(tag);
            await new Promise(done => {
                const socket = new WebSocket(url.replace("http", "ws"), "graphql-ws");
                socket.onopen = socket.onerror = done;
            });
        }""",
        f"http://{gateway.host}/graphql",
    )
    gateway.logged(before, status=403, websocket=True)
    lines = gateway.logs()[before:]
    assert len(lines) >= 6
    assert {line["status"] for line in lines} <= {403, 405}, lines

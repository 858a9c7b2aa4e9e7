"""The UI behind the gateway: a run is launched, watched while it goes on, and terminated."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from pytest_httpserver import HTTPServer

from web_gateways import Gateway

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium: apt-get install chromium")


@pytest.fixture
def page(gateway: Gateway) -> Iterator[Page]:
    """A page of a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER,
            # The tests may run as root, where Chromium has no sandbox.
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": 1500, "height": 900})
        page.set_default_timeout(90_000)
        # A run's container starts meanwhile, on a machine that other tests use too.
        expect.set_options(timeout=90_000)
        yield page
        browser.close()


@pytest.fixture
def nothing_forbidden(page: Page) -> Iterator[None]:
    """No policy that the gateway sends may have stopped anything of the page's own."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    yield
    assert not [text for text in said if "Content Security Policy" in text]


def _close_the_welcome(page: Page) -> None:
    skip = page.get_by_role("button", name="Skip")
    page.add_locator_handler(skip, lambda: skip.click())


@pytest.mark.usefixtures("nothing_forbidden")
def test_launch_watch_and_terminate(
    gateway: Gateway, location: str, page: Page, artifacts: Path
) -> None:
    before = len(gateway.logs())
    _close_the_welcome(page)
    page.goto(f"http://{gateway.host}/locations/{location}/jobs/hanging_job/playground")
    page.get_by_role("button", name="Launch Run").click()
    page.wait_for_url("**/runs/*")
    run = page.url.rpartition("/")[2].partition("?")[0]
    # It arrives over the WebSocket, while the run goes on.
    expect(page.get_by_text("STEP_START").first).to_be_visible()
    page.screenshot(path=artifacts / "ui-behind-the-gateway.png")
    page.get_by_role("button", name="Terminate").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click()
    expect(page.get_by_text("RUN_CANCELED").first).to_be_visible()
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

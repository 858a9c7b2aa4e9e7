"""A real browser, and what a person does in it with a run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium: apt-get install chromium")


@contextmanager
def new_page() -> Iterator[Page]:
    """A page of a browser that takes any certificate, and has no patience of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER,
            # The tests may run as root, where Chromium has no sandbox.
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": 1500, "height": 900}, ignore_https_errors=True)
        page.set_default_timeout(90_000)
        # A run's container starts meanwhile, on a machine that other tests use too.
        expect.set_options(timeout=90_000)
        skip = page.get_by_role("button", name="Skip")
        page.add_locator_handler(skip, lambda: skip.click())
        yield page
        browser.close()


def launch_watch_and_terminate(page: Page, screenshot: Path) -> str:
    """From a job's launchpad: a run of it, whose events come by a WebSocket while it goes on.

    Returns the run's id.
    """
    page.get_by_role("button", name="Launch Run").click()
    page.wait_for_url("**/runs/*")
    run = page.url.rpartition("/")[2].partition("?")[0]
    expect(page.get_by_text("STEP_START").first).to_be_visible()
    page.screenshot(path=screenshot)
    page.get_by_role("button", name="Terminate").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click()
    expect(page.get_by_text("RUN_CANCELED").first).to_be_visible()
    return run

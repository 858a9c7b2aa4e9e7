"""What people see, in a real browser."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from harness import Stack
from runs import launch

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")
def test_locations_lineage_and_runs(stack: Stack, artifacts: Path) -> None:
    launch(stack, "elt", "sync_tables_job").wait()
    launch(stack, "analytics", "regenerate_analytics_job").wait()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER,
            # The tests may run as root, where Chromium has no sandbox.
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": 1500, "height": 900})
        page.set_default_timeout(30_000)

        page.goto(f"{stack.url}/deployment/locations")
        for location in ("elt", "analytics"):
            row = page.get_by_text(location, exact=True).first
            expect(row).to_be_visible()
        expect(page.get_by_text("Loaded").nth(1)).to_be_visible()
        page.screenshot(path=artifacts / "ui-locations.png")

        scope = "view=lineage&lineageScope=upstream&lineageDepth=5"
        page.goto(f"{stack.url}/assets/my_analytics_asset?{scope}")
        for asset in ("customers_table", "orders_table", "my_analytics_asset"):
            expect(page.get_by_text(asset).first).to_be_visible()
        expect(page.get_by_text("Materialized").nth(1)).to_be_visible()
        page.screenshot(path=artifacts / "ui-lineage.png")

        page.goto(f"{stack.url}/automation")
        for automation in ("sync_tables_job_schedule", "landing_zone_sensor"):
            expect(page.get_by_text(automation).first).to_be_visible()
        page.screenshot(path=artifacts / "ui-automation.png")

        page.goto(f"{stack.url}/runs")
        expect(page.get_by_text("sync_tables_job").first).to_be_visible()
        page.screenshot(path=artifacts / "ui-runs.png")
        browser.close()

"""What people see, in a real browser."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from browser import needs_browser, new_page
from harness import Stack, until
from runs import load


@needs_browser
def test_locations_lineage_and_runs(stack: Stack, artifacts: Path, marts: None) -> None:
    load(stack, "customers").wait()
    with new_page() as page:
        show(page, f"{stack.url}/deployment/locations", "elt", "analytics", exact=True)
        expect(page.get_by_text("Loaded").nth(1)).to_be_visible()
        page.screenshot(path=artifacts / "ui-locations.png")

        scope = "view=lineage&lineageScope=upstream&lineageDepth=5"
        lineage = f"{stack.url}/assets/my_analytics_asset?{scope}"
        show(page, lineage, "customers_table", "orders_table", "my_analytics_asset")
        expect(page.get_by_text("Materialized").nth(1)).to_be_visible()
        page.screenshot(path=artifacts / "ui-lineage.png")

        show(page, f"{stack.url}/automation", "sync_tables_job_schedule", "landing_zone_sensor")
        page.screenshot(path=artifacts / "ui-automation.png")

        show(page, f"{stack.url}/runs", "sync_tables_job")
        page.screenshot(path=artifacts / "ui-runs.png")


def show(page: Page, url: str, *texts: str, exact: bool = False) -> None:
    """Open a page that must have these texts.

    Chromium gives up what it is loading when any interface of the machine gets an address, as a
    container's does when it starts; then the page is loaded again.
    """

    def look() -> None:
        page.goto(url)
        for text in texts:
            expect(page.get_by_text(text, exact=exact).first).to_be_visible(timeout=20_000)

    until(look, seconds=120)

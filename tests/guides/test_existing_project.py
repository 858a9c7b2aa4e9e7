"""docs/existing-project.md turns a project of the older layout into a location that is the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from guide import follow

GUIDE = Path(__file__).resolve().parents[2] / "docs/existing-project.md"


def names(stock: dict[str, Any], kind: str, key: str = "name") -> set[str]:
    return {one[key] for one in stock[kind]}


def test_the_guide_keeps_what_the_project_defines(folder: Path) -> None:
    repository = folder / "dagster-stack"
    said = follow(GUIDE, repository)
    before, after = (
        json.loads((folder / f"acme-{when}.json").read_text()) for when in ("before", "after")
    )
    assert after == before
    # Not equal for being empty: this is what the sample holds.
    assert names(before, "assets", "asset_key") == {
        "exchange_rates",
        "orders",
        "products",
        "reports/reorder",
        "revenue",
        "suppliers",
    }
    assert {asset["group_name"] for asset in before["assets"]} == {"sales"}
    assert names(before, "jobs") == {"daily_sales_job", "refresh_catalog_job", "reorder_job"}
    assert len(before["schedules"]) == 2
    assert names(before, "sensors") == {"reorder_sensor"}
    assert names(before, "resources") == {"shop", "warehouse"}
    assert names(before, "asset_checks") == {"products_have_prices"}
    # Its own tests, in both places, and the check of the definitions.
    assert said.count("4 passed") == 2
    assert "All definitions loaded successfully" in said
    # It is a location of the stack's layout, not the old one in another place.
    source = repository / "code_locations/acme/src/acme"
    assert "load_from_defs_folder" in (source / "definitions.py").read_text()
    assert not (source / "assets.py").exists()
    assert (source / "defs/sales/assets.py").exists()
    assert not list((source / "defs/assets").glob("*_days.py"))

"""docs/existing-layout.md brings projects in as they are."""

from __future__ import annotations

import filecmp
from pathlib import Path

from guide import follow

GUIDE = Path(__file__).resolve().parents[2] / "docs/existing-layout.md"
# What each project defines; and what of it the page changes.
DEFINED = {
    "northwind": (
        *("orders", "sold", "stock", "daily_sales_job", "count_stock_job"),
        *("daily_sales_job_schedule", "low_stock_sensor", "files"),
    ),
    "contoso": ("contacts", "visits", "nightly_job", "nightly_job_schedule", "crm"),
}
OLD = {"northwind": "northwind-pipelines", "contoso": "contoso-data"}
CHANGED = {"northwind": [], "contoso": ["definitions.py"]}


def test_the_guide_keeps_modules_and_definitions(folder: Path) -> None:
    repository = folder / "dagster-stack"
    said = follow(GUIDE, repository)
    for name, defined in DEFINED.items():
        for each in defined:
            assert f"│ {each} " in said, each
        new = repository / f"code_locations/{name}/src/{name}"
        compared = filecmp.dircmp(folder / OLD[name] / name, new)
        assert compared.left_only == [] and compared.diff_files == CHANGED[name]
    assert said.count("1 passed") == 2
    assert "Traceback" not in said

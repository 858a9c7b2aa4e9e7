"""What people read of a load names the schema that was filled."""

from collections.abc import Callable

import pytest
from fruit import FRUIT, OLD

from postgres_loader import table_asset
from postgres_loader.loading import LoadResult
from postgres_loader.reporting import load_metadata


def test_the_schema_is_the_one_that_was_filled(
    load_csv: Callable[..., LoadResult], capsys: pytest.CaptureFixture[str]
) -> None:
    result = load_csv(OLD)
    assert result.relation == "raw.fruit"
    sales = LoadResult("sales.fruit", 2, 2, 0, 0, len(OLD), [])
    load_metadata(FRUIT, sales, 1.0)
    assert capsys.readouterr().out.startswith("sales.fruit: 2 rows (2 inserted, ")


def test_an_asset_names_its_locations_schema() -> None:
    asset = table_asset(FRUIT, schema="sales")
    assert asset.metadata_by_key[asset.key]["dagster/table_name"] == "sales.fruit"

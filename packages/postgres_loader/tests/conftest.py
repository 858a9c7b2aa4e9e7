"""Loads of a small table, on a real PostgreSQL."""

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest
from fruit import FRUIT, Trickle
from hypothesis import settings
from location_kit.postgres import PostgresResource

from postgres_loader import assets, settling
from postgres_loader.loading import LoadResult, load
from postgres_loader.sources import CopySource, CsvSource, open_table_source
from postgres_loader.tables import Table

# `make test` looks at a few examples of each property, the same ones every time: a test that fails
# does so because of a change. `make soak` looks for new ones; what it finds becomes an @example.
settings.register_profile(
    "few", max_examples=10, stateful_step_count=20, deadline=None, derandomize=True
)
settings.register_profile(
    "many", max_examples=1000, stateful_step_count=50, deadline=None, print_blob=True
)
# Retries without their pauses. Before a test makes an asset.
assets.RETRIES = dg.RetryPolicy(assets.RETRIES.max_retries)
settings.load_profile("many" if os.environ.get("SOAK") == "full" else "few")


@pytest.fixture(autouse=True)
def _look_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the tests are as young as can be."""
    monkeypatch.setattr(settling, "LOOK_S", 0.01)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def load_csv(warehouse: PostgresResource) -> Callable[..., LoadResult]:
    """Loads a CSV file of the given content into raw.fruit."""

    def load_content(content: bytes, table: Table = FRUIT, **options: Any) -> LoadResult:
        @contextlib.contextmanager
        def open_source() -> Iterator[CsvSource]:
            yield CsvSource("file:///fruit.csv", io.BytesIO(content), table)

        with warehouse.get_connection() as connection:
            options = {"missing": "delete"} | options
            return load(connection, "raw", table, open_source, **options)

    return load_content


@pytest.fixture
def load_file(warehouse: PostgresResource) -> Callable[..., LoadResult]:
    """Loads a file of the given name and content into raw.fruit."""

    def load_content(
        name: str,
        content: bytes,
        table: Table = FRUIT,
        verify: Callable[[], None] | None = None,
        **options: Any,
    ) -> LoadResult:
        def open_source() -> contextlib.AbstractContextManager[CopySource]:
            stream = Trickle(content)
            return open_table_source(f"s3://b/{name}", stream, name, table, verify=verify)

        with warehouse.get_connection() as connection:
            return load(connection, "raw", table, open_source, **{"missing": "delete"} | options)

    return load_content

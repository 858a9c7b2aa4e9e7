"""An instance that retries as the stack's does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    """One that retries as the stack's does."""
    settings = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    retries = {"run_retries": settings["run_retries"]}
    with DagsterInstance.ephemeral(settings=retries) as instance:
        yield instance

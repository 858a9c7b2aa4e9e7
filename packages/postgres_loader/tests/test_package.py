"""The package's public names, and what importing a part of it costs."""

import subprocess
import sys

import pytest

import postgres_loader


def test_each_public_name_is_there() -> None:
    for name in postgres_loader.__all__:
        assert getattr(postgres_loader, name).__module__.startswith("postgres_loader.")


def test_another_name_is_missing() -> None:
    with pytest.raises(AttributeError, match="'postgres_loader' has no attribute 'tables_asset'"):
        postgres_loader.tables_asset  # noqa: B018


def test_a_landing_zone_is_seeded_without_importing_dagster() -> None:
    """At each start of the stack; Dagster's import takes more than a second of CPU time."""
    code = "import sys, postgres_loader.seeding; print('dagster' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"

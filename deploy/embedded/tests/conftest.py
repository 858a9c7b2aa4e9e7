"""A checkout with the few files that the embedded mode reads."""

import gc
from pathlib import Path

import pytest

from embedded.settings import Paths

WORKSPACE = """
load_from:
  - grpc_server: {host: elt, port: 4000, location_name: elt}
  - grpc_server: {host: analytics, port: 4000, location_name: analytics}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "workspace.yaml").write_text(WORKSPACE)
    for name in ("elt", "analytics"):
        folder = tmp_path / "code_locations" / name
        folder.mkdir(parents=True)
        (folder / "pyproject.toml").write_text(f'[tool.dg.project]\nroot_module = "{name}"\n')
    embedded = tmp_path / "deploy" / "embedded"
    embedded.mkdir(parents=True)
    (embedded / "locations.toml").write_text(
        """
        [elt]
        environment = { LANDING_ZONE = "{data_uri}/landing_zone" }
        settings = { LANDING_ZONE = "LANDING_ZONE", AWS_ENDPOINT_URL_S3 = "LANDING_ZONE_ENDPOINT" }
        prepare = ["python", "-m", "elt.sample_data"]
        """
    )
    secrets = tmp_path / ".dev" / "secrets"
    secrets.mkdir(parents=True)
    for role in ("postgres", "dagster", "elt", "analytics"):
        (secrets / f"{role}_password").write_text(f"secret-of-{role}")
    return tmp_path


@pytest.fixture
def paths(checkout: Path) -> Paths:
    return Paths(checkout)


# What tests import makes hundreds of thousands of objects and no garbage: looking for some among
# them is a third of the time.
gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage from now on, and not in what was imported."""
    gc.freeze()
    gc.enable()

"""The dbt project beside this package, and dagster-dbt at a fraction of its import time."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
from packaging.version import Version


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Within, importing a package that nobody has imported yet fails as if it were not there."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # the documented way to refuse it
    try:
        yield
    finally:
        del sys.modules[package]


# Definitions come from the manifest, and a run starts dbt as a process of its own. dagster-dbt
# would import dbt here all the same: 3 s and 70 MB in every code server, standby worker and run.
# It is made to do without, for environments that have dbt elsewhere.
with _hidden("dbt"):
    import dagster_dbt as dagster_dbt

PROJECT = dagster_dbt.DbtProject(Path(__file__).parents[2] / "dbt")


class ManifestMissing(Exception):
    """dbt's manifest, which definitions are made from, is not there; says how to make it."""


def read_manifest(project: dagster_dbt.DbtProject) -> Mapping[str, Any]:
    """The project's manifest. Raises ManifestMissing."""
    try:
        manifest: Mapping[str, Any] = orjson.loads(project.manifest_path.read_bytes())
    except FileNotFoundError:
        raise ManifestMissing(
            f"{project.manifest_path} is missing. It is made with the image, and by `make dev`; "
            f"by hand: deploy/code_location/dbt-parse code_locations/{project.name}"
        ) from None
    return manifest


class DbtCli(dagster_dbt.DbtCliResource):
    """dagster-dbt's, without what each run would pay for and not use."""

    @cached_property
    def _cli_version(self) -> Version:
        # `dbt --version` takes seconds, and asks PyPI for newer ones.
        return Version(version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Any) -> Any:
        """None: a second connection by dbt's own code, inside this process, is not needed."""

"""The project's manifest: where it comes from, and what loading it costs."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from analytics.dbt_project import PROJECT, ManifestMissing, dagster_dbt, read_manifest
from analytics.dbt_sources import sources_of

Parse = Callable[[Path], bool]


def test_a_missing_manifest_names_the_command(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("name: shop")
    project = dagster_dbt.DbtProject(tmp_path)
    with pytest.raises(ManifestMissing) as caught:
        read_manifest(project)
    assert str(project.manifest_path) in str(caught.value)
    assert "deploy/code_location/dbt-parse code_locations/shop" in str(caught.value)


def test_parsing_needs_no_setting_and_keeps_no_secret(larger: Path, parse: Parse) -> None:
    """And it is not repeated when nothing has changed."""
    target = larger / "dbt" / "target"
    assert b"correct horse" not in b"".join(path.read_bytes() for path in target.iterdir())
    assert not (larger / "dbt" / "logs").exists()
    made = (target / "manifest.json").stat().st_mtime_ns
    assert parse(larger)
    assert (target / "manifest.json").stat().st_mtime_ns == made


def test_a_project_that_cannot_be_parsed_has_no_manifest(
    larger: Path, parse: Parse, tmp_path: Path
) -> None:
    """A stale one would hide the failure. A mistake of which dbt only warns is one, too."""
    location = tmp_path / "location"
    shutil.copytree(larger, location, symlinks=True)
    assert (location / "dbt/target/manifest.json").exists()
    (location / "dbt/models/broken.yml").write_text("models: [{name: nothing}]")
    assert not parse(location)
    assert not (location / "dbt/target/manifest.json").exists()


def test_a_location_without_dbt_is_left_alone(parse: Parse, tmp_path: Path) -> None:
    assert parse(tmp_path)
    assert not list(tmp_path.iterdir())


def test_models_stand_in_the_schemas_that_the_location_owns() -> None:
    nodes = read_manifest(PROJECT)["nodes"].values()
    assert {node["schema"] for node in nodes if node["resource_type"] == "model"} == {
        "staging",
        "marts",
    }


def test_every_source_names_the_asset_and_the_job_that_make_it() -> None:
    manifest = read_manifest(PROJECT)
    for source in manifest["sources"].values():
        assert source["config"]["meta"]["dagster"]["asset_key"]
        assert source["config"]["meta"]["loaded_by"].startswith("elt's ")
    (orders,) = sources_of(manifest, ["model.analytics.stg_orders"])
    assert (orders["schema"], orders["identifier"]) == ("raw", "orders")

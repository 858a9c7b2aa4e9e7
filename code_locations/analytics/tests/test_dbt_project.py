"""The project's manifest: where it comes from, and what loading it costs."""

import subprocess
import sys
from pathlib import Path

import pytest

from analytics.dbt_project import PROJECT, ManifestMissing, dagster_dbt, read_manifest
from analytics.dbt_sources import sources_of

PARSE = PROJECT.project_dir.parents[2] / "deploy/code_location/dbt-parse"


def test_loading_definitions_does_not_import_dbt() -> None:
    program = """if True:
        import sys
        from analytics.definitions import defs
        defs.get_repository_def().load_all_definitions()
        assert "dagster_dbt" in sys.modules
        print([name for name in sys.modules if name.split(".")[0] in ("dbt", "metricflow")])
    """
    output = subprocess.run(
        [sys.executable, "-c", program], check=True, env={"PATH": ""}, stdout=subprocess.PIPE
    )
    assert output.stdout == b"[]\n"


def test_a_missing_manifest_names_the_command(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("name: shop")
    project = dagster_dbt.DbtProject(tmp_path)
    with pytest.raises(ManifestMissing) as caught:
        read_manifest(project)
    assert str(project.manifest_path) in str(caught.value)
    assert "deploy/code_location/dbt-parse code_locations/shop" in str(caught.value)


def test_parsing_needs_no_setting_and_keeps_no_secret(tmp_path: Path) -> None:
    """And it is not repeated when nothing has changed."""
    location = tmp_path / "location"
    (location / "dbt").mkdir(parents=True)
    for name in ("dbt_project.yml", "profiles.yml", "macros", "models", "tests"):
        (location / "dbt" / name).symlink_to(PROJECT.project_dir / name)
    (location / ".venv").symlink_to(Path(sys.executable).parents[1])
    (location / "uv.lock").touch()
    parse = [PARSE, location]
    environment = {"PATH": "/usr/bin:/bin", "WAREHOUSE_PASSWORD": "correct horse"}
    subprocess.run(parse, check=True, env=environment)
    target = location / "dbt" / "target"
    assert b"correct horse" not in b"".join(path.read_bytes() for path in target.iterdir())
    assert not (location / "dbt" / "logs").exists()
    made = (target / "manifest.json").stat().st_mtime_ns
    subprocess.run(parse, check=True, env=environment)
    assert (target / "manifest.json").stat().st_mtime_ns == made
    # A failure leaves none: a stale one would hide it.
    (location / "dbt" / "models").unlink()
    (location / "dbt" / "models").mkdir()
    (location / "dbt" / "models" / "broken.sql").write_text("select {{ ref('nothing') }}")
    assert subprocess.run(parse, env=environment, check=False).returncode != 0
    assert not (target / "manifest.json").exists()


def test_a_location_without_dbt_is_left_alone(tmp_path: Path) -> None:
    subprocess.run([PARSE, tmp_path], check=True)
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

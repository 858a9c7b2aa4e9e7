"""Which locations a changed file belongs to."""

from stackctl.docker import ROOT
from stackctl.stack import Stack
from stackctl.watch_cli import affected, sources

STACK = Stack(
    {
        "name": "s",
        "services": {
            "elt": {"build": {"context": str(ROOT / "code_locations/elt")}},
            "analytics": {"build": {"context": str(ROOT / "code_locations/analytics")}},
            "ready": {},
        },
    }
)


def test_a_file_belongs_to_the_location_whose_image_has_it() -> None:
    folders = sources(STACK, ["elt", "analytics", "ready"])
    elt = ROOT / "code_locations/elt"
    assert affected(folders, [elt / "src/elt/defs/assets/tables.py"]) == ["elt"]
    assert affected(folders, [elt / "uv.lock", elt / "tests/test_x.py"]) == ["elt"]
    assert affected(folders, [elt / "tests/test_x.py"]) == []


def test_a_package_belongs_to_each_location_that_uses_it() -> None:
    folders = sources(STACK, ["elt", "analytics"])
    packages = ROOT / "packages"
    both = packages / "location_kit/src/location_kit/postgres.py"
    one = packages / "postgres_loader/src/postgres_loader/__init__.py"
    assert affected(folders, [both]) == ["analytics", "elt"]
    assert affected(folders, [one]) == ["elt"]
    assert affected(folders, [packages / "postgres_loader/tests/test_x.py"]) == []


def test_a_dbt_project_is_watched_and_its_manifest_is_not() -> None:
    folder = ROOT / "code_locations/analytics/dbt"
    folders = sources(STACK, ["elt", "analytics"])
    assert folders[folder] == {"analytics"}
    assert ROOT / "code_locations/elt/dbt" not in folders
    assert affected(folders, [folder / "models/marts/new.sql"]) == ["analytics"]
    assert affected(folders, [folder / "target/manifest.json"]) == []

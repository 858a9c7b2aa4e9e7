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


def test_a_dbt_project_is_watched_and_its_manifest_is_not() -> None:
    folder = ROOT / "code_locations/analytics/dbt"
    folders = sources(STACK, ["elt", "analytics"])
    assert folders[folder] == "analytics"
    assert ROOT / "code_locations/elt/dbt" not in folders
    assert affected(folders, [folder / "models/marts/new.sql"]) == ["analytics"]
    assert affected(folders, [folder / "target/manifest.json"]) == []

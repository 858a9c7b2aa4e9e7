from pathlib import Path

import pytest
from control_plane.errors import StackError

from embedded.locations import read_locations
from embedded.settings import repository


def test_names_come_from_the_workspace_and_extras_from_locations_toml(checkout: Path) -> None:
    elt, analytics = read_locations(checkout)
    assert (elt.name, analytics.name) == ("elt", "analytics")
    assert elt.prepare == ("python", "-m", "elt.sample_data")
    assert analytics.prepare == ()
    assert analytics.module == "analytics.definitions"


def test_a_location_can_name_its_module(checkout: Path) -> None:
    project = checkout / "code_locations" / "elt" / "pyproject.toml"
    project.write_text('[tool.dg.project]\ncode_location_target_module = "elt.entry"\n')
    assert read_locations(checkout)[0].module == "elt.entry"


def test_this_repository_s_own_locations_can_be_read() -> None:
    assert {"elt", "analytics"} <= {each.name for each in read_locations(repository().root)}


@pytest.mark.parametrize("text", ["load_from: 3", "{", "load_from: [{python_file: x}]"])
def test_a_workspace_of_another_form_is_named(checkout: Path, text: str) -> None:
    (checkout / "workspace.yaml").write_text(text)
    with pytest.raises(StackError, match=r"workspace\.yaml"):
        read_locations(checkout)


def test_a_location_without_folder_is_named(checkout: Path) -> None:
    (checkout / "code_locations" / "elt" / "pyproject.toml").unlink()
    with pytest.raises(StackError, match=r"elt/pyproject\.toml: No such file"):
        read_locations(checkout)


def test_a_broken_toml_is_named(checkout: Path) -> None:
    (checkout / "deploy" / "embedded" / "locations.toml").write_text("[elt")
    with pytest.raises(StackError, match=r"locations\.toml"):
        read_locations(checkout)

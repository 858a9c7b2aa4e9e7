from pathlib import Path

import pytest
import yaml
from control_plane.errors import StackError

from embedded import derive
from embedded.settings import repository


def test_the_launcher_is_taken_out_of_the_instance_and_nothing_else() -> None:
    text = (repository().root / "dagster.yaml").read_text()
    root, derived = yaml.safe_load(text), yaml.safe_load(derive.instance_config(text))
    assert root.pop("run_launcher")
    assert derived == root
    assert "compose" not in str(derived)


@pytest.mark.parametrize("text", ["", "- a list", "word"])
def test_an_instance_that_is_no_mapping_is_named(text: str) -> None:
    with pytest.raises(StackError, match=r"dagster\.yaml"):
        derive.instance_config(text)


def test_every_location_is_a_server_on_loopback() -> None:
    servers = yaml.safe_load(derive.workspace_config({"elt": 4001, "analytics": 4002}))["load_from"]
    assert [entry["grpc_server"] for entry in servers] == [
        {"host": "127.0.0.1", "port": 4001, "location_name": "elt"},
        {"host": "127.0.0.1", "port": 4002, "location_name": "analytics"},
    ]


def test_a_derived_file_says_where_it_comes_from(tmp_path: Path) -> None:
    derive.write(tmp_path / "a" / "b.yaml", "workspace.yaml", "x: 1\n")
    first, rest = (tmp_path / "a" / "b.yaml").read_text().split("\n", 1)
    assert "workspace.yaml" in first
    assert yaml.safe_load(rest) == {"x": 1}

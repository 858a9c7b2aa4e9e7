from pathlib import Path

import pytest
import yaml

from embedded import derive
from embedded.errors import EmbeddedError
from embedded.settings import repository


def test_only_what_is_docker_s_own_is_taken_out_of_the_instance() -> None:
    root = yaml.safe_load((repository().root / "dagster.yaml").read_text())
    derived = yaml.safe_load(
        derive.instance_config((repository().root / "dagster.yaml").read_text())
    )
    assert "run_launcher" not in derived
    docker_only = ("run_launcher", "run_coordinator")
    assert {k: v for k, v in derived.items() if k not in docker_only} == {
        k: v for k, v in root.items() if k not in docker_only
    }
    assert "compose_run_launcher" not in str(derived)
    queue = dict(root["run_coordinator"]["config"])
    queue.pop("project", None)
    assert derived["run_coordinator"]["config"] == queue


def test_an_instance_with_a_queue_of_its_own_keeps_it() -> None:
    text = "run_coordinator: {module: mine, class: Queue, config: {project: x}}"
    assert yaml.safe_load(derive.instance_config(text)) == yaml.safe_load(text)


@pytest.mark.parametrize("text", ["", "- a list", "word"])
def test_an_instance_that_is_no_mapping_is_named(text: str) -> None:
    with pytest.raises(EmbeddedError, match=r"dagster\.yaml"):
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

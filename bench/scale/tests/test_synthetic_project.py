"""The files that the benchmark makes, without an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

import synthetic_project
from harness import REPOSITORY
from synthetic_project import Size

SIZE = Size(locations=2, assets=7, standby=0)


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return dict(synthetic_project.with_locations(REPOSITORY, SIZE.names).texts)


@pytest.fixture(scope="module")
def services(texts: dict[str, str]) -> dict[str, Any]:
    return dict(YAML(typ="safe").load(texts["docker-compose.yml"])["services"])


def test_the_workspace_has_the_synthetic_locations_and_no_others(texts: dict[str, str]) -> None:
    entries = yaml.safe_load(texts["workspace.yaml"])["load_from"]
    assert [entry["grpc_server"]["location_name"] for entry in entries] == SIZE.names


def test_each_location_is_a_service_as_make_location_writes_it(services: dict[str, Any]) -> None:
    migrate = services["migrate"]["command"]
    for name in SIZE.names:
        assert services[name]["labels"]["compose_run_launcher.role"] == "code-location"
        assert services[name]["networks"] == ["core", f"rpc_{name}"]
        assert any(
            name in option.split("=", 1)[1].split(",") for option in migrate if "=" in option
        )


def test_all_use_one_image_and_know_their_own_name(services: dict[str, Any]) -> None:
    added = synthetic_project.additions(SIZE)["services"]
    assert [each["image"] for each in added.values()] == [
        f"${{{setting}:-${{COMPOSE_PROJECT_NAME}}/synthetic_1:live}}"
        for setting in ("SYNTHETIC_1_IMAGE", "SYNTHETIC_2_IMAGE")
    ]
    for name, each in added.items():
        assert name in services
        assert each["environment"] == {"DAGSTER_LOCATION_NAME": name, "SYNTHETIC_ASSETS": "7"}
        # Runs look for their image there; the launcher tags it.
        repository = services[name]["environment"]["DAGSTER_IMAGE_REPOSITORY"]
        assert repository == f"${{COMPOSE_PROJECT_NAME}}/{name}"


def test_the_definitions_follow_the_environment(tmp_path: Path) -> None:
    # Compiled, not imported: Dagster is in the image alone.
    code = (synthetic_project.HERE / "location" / "synthetic.py").read_text()
    compile(code, "synthetic.py", "exec")
    for variable in ("DAGSTER_LOCATION_NAME", "SYNTHETIC_ASSETS"):
        assert f'os.environ["{variable}"]' in code

"""The values against the official charts; skipped where their source, or helm, is not here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from charts import (
    CHART,
    HELM,
    LOCATION_CHART,
    NO_CHART,
    NO_HELM,
    ROOT,
    check_schema,
    container_context,
    pods,
    template,
)
from jsonschema import ValidationError
from stackctl.kubernetes.render import Rendered
from test_jobs import instance_yaml

LOCATIONS = ("elt", "analytics", "shop_orders")
needs_chart = pytest.mark.skipif(not CHART.is_dir(), reason=NO_CHART)
needs_helm = pytest.mark.skipif(not CHART.is_dir() or not HELM, reason=f"{NO_CHART}; {NO_HELM}")
pytestmark = needs_chart
VERSION = "1.34"


def location_values(rendered: Rendered, location: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(rendered.files[f"{location}.values.yaml"])
    return loaded


def test_the_control_planes_values_fit_the_charts_schema(values: dict[str, Any]) -> None:
    check_schema(CHART, values)


@pytest.mark.parametrize("location", LOCATIONS)
def test_a_locations_values_fit_the_charts_schema(rendered: Rendered, location: str) -> None:
    check_schema(LOCATION_CHART, location_values(rendered, location))


def test_the_schema_refuses_a_wrong_value(rendered: Rendered) -> None:
    wrong = location_values(rendered, "elt")
    wrong["deployments"][0]["port"] = "4000/tcp"
    with pytest.raises(ValidationError):
        check_schema(LOCATION_CHART, wrong)


@needs_helm
def test_what_helm_makes_of_the_control_plane(folder: Path, values: dict[str, Any]) -> None:
    made = template(CHART, "dagster", "dagster-stack", folder / "values.yaml")
    for each in made:
        kubernetes_validate.validate(each, VERSION, strict=False)
    by_name = {f"{each['kind']}/{each['metadata']['name']}": each for each in made}
    # The daemon has no rights in its own namespace, and no location is here.
    assert not {kind.partition("/")[0] for kind in by_name} & {"Role", "RoleBinding", "Secret"}
    written = yaml.safe_load(by_name["ConfigMap/dagster-instance"]["data"]["dagster.yaml"])
    ours = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    for key in (
        "run_monitoring",
        "run_retries",
        "sensors",
        "schedules",
        "backfills",
        "concurrency",
    ):
        assert written[key] == ours[key]
    for key in (
        "retention",
        "freshness",
        "auto_materialize",
        "local_artifact_storage",
        "telemetry",
    ):
        assert written[key] == ours[key]
    assert written["run_coordinator"]["config"] == ours["run_queue"]
    for key, value in instance_yaml(values).items():
        login = written[key].get("config", {}).get("postgres_db") if key in written else None
        if login:
            # The chart adds params.
            assert value["config"]["postgres_db"].items() <= login.items()
        else:
            assert written[key] == value
    workspace = yaml.safe_load(
        by_name["ConfigMap/dagster-workspace-yaml"]["data"]["workspace.yaml"]
    )
    names = [each["grpc_server"]["location_name"] for each in workspace["load_from"]]
    assert sorted(names) == sorted(LOCATIONS)
    for pod in pods(made):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert not pod.get("initContainers")


@needs_helm
@pytest.mark.parametrize("location", LOCATIONS)
def test_what_helm_makes_of_a_location(rendered: Rendered, folder: Path, location: str) -> None:
    values = location_values(rendered, location)
    [deployment] = values["deployments"]
    namespace = f"dagster-stack-{deployment['name']}"
    made = template(
        LOCATION_CHART, deployment["name"], namespace, folder / f"{location}.values.yaml"
    )
    for each in made:
        kubernetes_validate.validate(each, VERSION, strict=False)
    kinds = [each["kind"] for each in made]
    assert "Role" not in kinds and "RoleBinding" not in kinds
    [service] = [each for each in made if each["kind"] == "Service"]
    assert service["metadata"]["name"] == deployment["name"]
    [pod] = pods(made)
    [container] = pod["containers"]
    # The image's own command and entrypoint.
    assert "args" not in container and "command" not in container
    image = deployment["image"]
    assert container["image"] == f"{image['repository']}@{image['digest']}"
    names = [each["name"] for each in container["env"]]
    assert len(names) == len(set(names))
    assert container["readinessProbe"]["exec"]["command"] == ["probe"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    context = json.loads(str(environment["DAGSTER_CONTAINER_CONTEXT"]))
    assert context == container_context(values, namespace)

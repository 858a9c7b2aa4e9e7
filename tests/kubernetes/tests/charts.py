"""The official charts, where their source is on this machine (docs/kubernetes.md says how)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).resolve().parents[3]
# tests/kubernetes/fetch-charts puts it there.
CHART = Path(os.environ.get("DAGSTER_CHART") or ROOT / ".artifacts/charts/helm/dagster")
LOCATION_CHART = CHART / "charts/dagster-user-deployments"
HELM = os.environ.get("HELM") or shutil.which("helm")
NO_CHART = "the charts' source is not here: tests/kubernetes/fetch-charts"
NO_HELM = "there is no helm command on PATH, nor in HELM"

Tree = dict[str, Any]


def check_schema(chart: Path, values: Mapping[str, Any]) -> None:
    """Values as helm checks them: the chart's own, with ours over them.

    The chart's schema takes Kubernetes' own objects from a web address; those are checked in what
    the chart makes of them.
    """
    schema = json.loads((chart / "values.schema.json").read_text())
    own = yaml.safe_load((chart / "values.yaml").read_text())
    jsonschema.Draft202012Validator(_without_links(schema)).validate(_over(own, values))


def _without_links(schema: Any) -> Any:
    if isinstance(schema, dict):
        if str(schema.get("$ref", "")).startswith("http"):
            schema = {key: value for key, value in schema.items() if key != "$ref"}
        return {key: _without_links(value) for key, value in schema.items()}
    return [_without_links(each) for each in schema] if isinstance(schema, list) else schema


def _over(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, Mapping):
        return below | {key: _over(below.get(key), value) for key, value in above.items()}
    return above


def template(chart: Path, release: str, namespace: str, values: Path) -> list[Tree]:
    """What helm would send to a cluster."""
    assert HELM
    command = [HELM, "template", release, str(chart), f"--namespace={namespace}"]
    # It would fetch the links of the schema, see check_schema.
    command += [f"--values={values}", "--skip-schema-validation"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def container_context(values: Mapping[str, Any], namespace: str) -> Tree:
    """What the chart dagster-user-deployments tells a code server of its runs.

    In our words, for machines without the chart; with it, a test compares the two.
    """
    [deployment] = values["deployments"]
    name = f"{values['fullnameOverride']}-{deployment['name']}-user-env"
    return {
        "k8s": {
            "image_pull_policy": deployment["image"]["pullPolicy"],
            "env_config_maps": [name],
            "volume_mounts": deployment["volumeMounts"],
            "volumes": deployment["volumes"],
            "resources": deployment["resources"],
            "namespace": namespace,
            "service_account_name": values["serviceAccount"]["name"],
            "env": deployment["env"],
            "run_k8s_config": {
                "pod_spec_config": {
                    "automount_service_account_token": True,
                    "security_context": deployment["podSecurityContext"],
                }
            },
        }
    }


def pods(objects: list[Tree]) -> Iterator[Tree]:
    """The pod specifications of deployments."""
    for each in objects:
        if each["kind"] == "Deployment":
            yield each["spec"]["template"]["spec"]

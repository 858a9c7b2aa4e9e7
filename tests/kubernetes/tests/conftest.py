"""The repository's own stack, rendered once; and a location that the template makes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from charts import ROOT
from stackctl.kubernetes.cluster import Cluster, Image, Logs
from stackctl.kubernetes.render import Rendered, render
from stackctl.location.files import Project
from stackctl.stack import Stack

DIGEST = f"sha256:{'a' * 64}"
GENERATED = "shop_orders"
HOSTS = {"postgres": "db.example.com", "object-store": "s3.example.com"}


def cluster(stack: Stack) -> Cluster:
    images = {name: Image(f"ghcr.io/acme/{name}", DIGEST) for name in stack.locations}
    return Cluster(stack.project, images, HOSTS, Logs("dagster-logs", "prod"))


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository's files with one more location, made by `make location`."""
    if shutil.which("docker") is None:
        pytest.skip("needs the docker command, to read docker-compose.yml; no engine")
    copy = tmp_path_factory.mktemp("project")
    for name in ("docker-compose.yml", "dagster.yaml", "workspace.yaml", "dg.toml", ".env.example"):
        shutil.copy(ROOT / name, copy)
    (copy / "deploy/embedded").mkdir(parents=True)
    shutil.copy(ROOT / "deploy/embedded/locations.toml", copy / "deploy/embedded")
    # Its name is one that Kubernetes does not take.
    Project.read(copy).with_location(GENERATED).write()
    return copy


@pytest.fixture(scope="session")
def stack(project: Path) -> Stack:
    # Without settings of this machine.
    environment = {k: v for k, v in os.environ.items() if k in {"HOME", "PATH"}}
    done = subprocess.run(
        ["docker", "compose", "config", "--format=json"],
        cwd=project,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Stack(json.loads(done.stdout))


@pytest.fixture(scope="session")
def rendered(stack: Stack, project: Path) -> Rendered:
    dagster = yaml.safe_load((project / "dagster.yaml").read_text())
    workspace = yaml.safe_load((project / "workspace.yaml").read_text())
    return render(stack, dagster, workspace, cluster(stack))


@pytest.fixture(scope="session")
def values(rendered: Rendered) -> dict[str, Any]:
    """Values of the control plane, as a YAML parser other than the writer's reads them."""
    loaded: dict[str, Any] = yaml.safe_load(rendered.files["values.yaml"])
    return loaded


@pytest.fixture(scope="session")
def folder(rendered: Rendered, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("helm")
    for name, text in rendered.files.items():
        (path / name).write_text(text)
    yield path

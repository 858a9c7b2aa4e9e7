"""docker-compose.yml itself."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stackctl.docker import ROOT

SERVICES: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker-compose.yml")["services"]
PUBLIC = {"postgres", "object_store", "sso", "warehouse_port", "prometheus", "grafana"}


def test_images_of_ours_are_built_and_never_pulled() -> None:
    """So `docker compose up` builds what is missing, and `docker compose pull` leaves it alone."""
    never = {name for name, service in SERVICES.items() if service.get("pull_policy") == "never"}
    assert never == SERVICES.keys() - PUBLIC
    built = {service["image"] for service in SERVICES.values() if "build" in service}
    assert {SERVICES[name]["image"] for name in never} == built


def test_the_docker_gateway_can_open_the_socket_of_an_engine_with_userns_remap() -> None:
    """Tried on one: else the socket, or the volumes, belong to another root."""
    gateway = SERVICES["docker_gateway"]
    assert gateway["userns_mode"] == "host"
    own = [volume for volume in gateway["volumes"] if "/run/docker-gateway/" in volume]
    dockerfile = (ROOT / "deploy/gateway/docker/Dockerfile").read_text()
    [made] = [line for line in dockerfile.splitlines() if line.startswith("RUN install -d -m 0777")]
    assert len(own) == 4
    assert {volume.partition(":")[2] for volume in own} == set(made.split()[5:])


@pytest.mark.parametrize(
    ("file", "limit", "expected"),
    [
        ("memory.max", "1073741824", "966367638"),
        ("memory/memory.limit_in_bytes", "1073741824", "966367638"),
        ("memory.max", "max", ""),
        ("elsewhere", "1", ""),
    ],
)
def test_the_object_store_knows_its_memory(
    tmp_path: Path, file: str, limit: str, expected: str
) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(f"{limit}\n")
    for name in ("object_store_access_key", "object_store_secret_key"):
        (tmp_path / name).write_text(name)
    program = tmp_path / "entrypoint.sh"
    program.write_text('#!/bin/sh\necho "$1 ${GOMEMLIMIT-} $AWS_ACCESS_KEY_ID"\n')
    program.chmod(0o755)
    script = SERVICES["object_store"]["entrypoint"][2].replace("$$", "$")
    for place in ("/run/secrets", "/sys/fs/cgroup"):
        script = script.replace(place, str(tmp_path))
    script = script.replace("/entrypoint.sh", str(program))
    said = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert said == f"mini {expected} object_store_access_key\n"


@pytest.mark.parametrize(
    ("image", "tag", "expected"),
    [
        ("object-store", "chrislusf/seaweedfs:4.47", True),
        ("object-store", "mirror.example/chrislusf/seaweedfs:4.43", True),
        ("object-store", "chrislusf/seaweedfs:4.42", False),
        ("haproxy", "haproxy:3.0", True),
        ("haproxy", "haproxy:3.0.5-trixie", True),
        ("haproxy", "haproxy:3.0-alpine", False),
        ("postgres", "postgres:17.6", True),
        ("postgres", "postgres:17-alpine", False),
        ("postgres", "postgres:18-trixie", False),
        ("prometheus", "prom/prometheus:v3.5.0", True),
        ("prometheus", "mirror.example/prom/prometheus:v2.53.3", True),
        ("prometheus", "prom/prometheus:v2.45.0", False),
        ("python", "python:3.13-slim-trixie", True),
        ("python", "python:3.13-alpine", False),
    ],
)
def test_a_stand_in_stands_for_nothing_that_would_not_work(
    image: str, tag: str, expected: bool
) -> None:
    """As .ci/base-images compares them."""
    compare = 'shopt -s extglob; . "$1" && [[ $2 == $STANDS_FOR ]]'
    file = ROOT / ".ci/images" / image / "image.env"
    done = subprocess.run(["bash", "-c", compare, "bash", str(file), tag], check=False, timeout=60)
    assert (done.returncode == 0) == expected

"""What a real code server says of itself agrees with the runs that are created from it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, DagsterRun
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

import compose_run_launcher.release
from compose_run_launcher.belongs import contract, disagreement
from compose_run_launcher.release import Releases

CODE = """
import dagster as dg

@dg.op
def nothing(): ...

@dg.job
def job():
    nothing()

defs = dg.Definitions(jobs=[job])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a location's module."""
    folder: Path = tmp_path_factory.mktemp("code")
    (folder / "the_location.py").write_text(CODE)
    return folder


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    """A code server's port. It is started as the images of locations start theirs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    variables = {
        "DAGSTER_MODULE_NAME": "the_location",
        "DAGSTER_CURRENT_IMAGE": "s/elt:1",
        "DAGSTER_HOME": str(folder),
        "PYTHONPATH": str(folder),
    }
    command = ["-m", "dagster", "api", "grpc", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen([sys.executable, *command], cwd=folder, env=os.environ | variables)
    yield port
    # Killed: it would answer to the end, and whoever started the tests may have it ignore SIGTERM.
    server.kill()
    server.wait()


@pytest.fixture
def service(folder: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The server's container, as the engine would show it."""
    monkeypatch.setattr(compose_run_launcher.release, "_GRPC_PORT", port)
    return {
        "Id": "service",
        "Config": {
            "WorkingDir": str(folder),
            "Env": ["DAGSTER_MODULE_NAME=the_location"],
            "Labels": {"com.docker.compose.project": "s", "com.docker.compose.service": "elt"},
        },
        "NetworkSettings": {"Networks": {"s_rpc_elt": {"IPAddress": "127.0.0.1"}}},
    }


def test_runs_of_a_release_belong_to_it(
    service: dict[str, Any], port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = Releases()
    known = Retrying(
        retry=retry_if_result(lambda found: found is None),
        stop=stop_after_delay(120),
        wait=wait_fixed(0.5),
    )(releases.of, service)
    assert known is not None
    with DagsterInstance.ephemeral() as instance:
        run = created_run(instance, port)
    assert disagreement(run, "elt", known) is None
    image = {
        "Config": {
            "WorkingDir": service["Config"]["WorkingDir"],
            "Env": [f"PATH={Path(sys.executable).parent}", "DAGSTER_MODULE_NAME=the_location"],
        }
    }
    assert disagreement(run, "elt", contract(service, image)) is None

    # Known from now on, also when nothing of it is left.
    monkeypatch.setattr(compose_run_launcher.release, "ask_release", lambda _service: None)
    releases.forget_all_but([])
    assert releases.of(service) is None
    assert releases.with_image("elt", "s/elt:1") == known
    assert releases.with_image("analytics", "s/elt:1") is None


def created_run(instance: DagsterInstance, port: int) -> DagsterRun:
    """A run of the job, with the origins that webserver and daemon give it."""
    origin = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=port, location_name="elt")
    with GrpcServerCodeLocation(origin, instance) as location:
        job = location.get_repository("__repository__").get_full_job("job")
        return DagsterRun(
            job_name="job",
            remote_job_origin=job.get_remote_origin(),
            job_code_origin=job.get_python_origin(),
        )

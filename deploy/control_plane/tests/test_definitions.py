"""What a real code server says of itself, which the gate judges a release by."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster
import grpc
import pytest
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import FuturesAwareThreadPoolExecutor
from dagster._grpc.__generated__.dagster_api_pb2_grpc import add_DagsterApiServicer_to_server
from dagster._grpc.server import DagsterApiServer
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from control_plane.definitions import drain, report
from control_plane.errors import StackError

CODE = """
import dagster as dg


class Api(dg.ConfigurableResource):
    token: str


@dg.asset(deps=["of_another_location"])
def orders(): ...


@dg.asset_check(asset=orders)
def some(): ...


@dg.op
def say(): ...


@dg.job
def tick_job():
    say()


tick = dg.ScheduleDefinition(name="tick", job=tick_job, cron_schedule="{cron}")


@dg.sensor(job=tick_job)
def files(): ...


defs = dg.Definitions(
    assets=[orders],
    asset_checks=[some],
    schedules=[tick],
    sensors=[files],
    resources={{"api": Api(token=dg.EnvVar("API_TOKEN"))}},
)
"""
OTHER = CODE.format(cron="0 3 * * *").replace("of_another_location", "of_a_third")
READER = """
import dagster as dg


@dg.observable_source_asset
def orders() -> dg.DataVersion:
    return dg.DataVersion("1")


@dg.asset(deps=["orders"], automation_condition=dg.AutomationCondition.eager())
def revenue(): ...


@dg.asset_check(asset="orders")
def another(): ...


defs = dg.Definitions(
    assets=[orders, revenue, dg.AssetSpec("of_another_location")], asset_checks=[another]
)
"""
EMPTY = "import dagster as dg\n\ndefs = dg.Definitions()\n"


@dataclass(frozen=True)
class Server:
    """A code server that listens at ``address``, and whether it was asked to end."""

    address: str
    told_to_end: threading.Event


@contextmanager
def code_server(file: Path, code: str, image: str | None = None) -> Iterator[Server]:
    """The server of `dagster api grpc`, in this process: to start another takes seconds."""
    file.parent.mkdir()
    file.write_text(code)
    told_to_end = threading.Event()
    with FuturesAwareThreadPoolExecutor(max_workers=4) as threads:
        server = grpc.server(threads)
        origin = LoadableTargetOrigin(python_file=str(file), working_directory=str(file.parent))
        answers = DagsterApiServer(
            told_to_end, logging.getLogger(__name__), threads, origin, container_image=image
        )
        add_DagsterApiServicer_to_server(answers, server)
        health = HealthServicer()
        health.set("DagsterApi", HealthCheckResponse.SERVING)
        add_HealthServicer_to_server(health, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield Server(f"127.0.0.1:{port}", told_to_end)
        finally:
            told_to_end.set()
            server.stop(grace=None).wait()
            answers.cleanup()


def by_kind(found: dict[str, Any]) -> dict[str, list[str]]:
    return {kind: sorted(names) for kind, names in found["definitions"].items()}


def test_two_releases_and_what_differs(tmp_path: Path) -> None:
    former = code_server(tmp_path / "a" / "release.py", CODE.format(cron="0 1 * * *"), "s/elt:a")
    latter = code_server(tmp_path / "b" / "release.py", CODE.format(cron="0 2 * * *"), "s/elt:b")
    with former as live, latter as candidate:
        found = report(candidate.address, live.address, {}, 1)
    now, before = found["candidate"], found["live"]
    assert found["control_plane"] == now["dagster"] == dagster.__version__
    assert (before["image"], now["image"]) == ("s/elt:a", "s/elt:b")
    assert by_kind(now) == {
        "asset": ["orders"],
        "asset check": ["orders:some"],
        "job": ["tick_job"],
        "schedule": ["tick"],
        "sensor": ["files"],
        "resource": ["api"],
    }
    assert now["variables"] == {"API_TOKEN": ["api"]}
    schedules = [each["definitions"].pop("schedule")["tick"] for each in (before, now)]
    assert before["definitions"] == now["definitions"]
    differing = {name for name in schedules[1] if schedules[0][name] != schedules[1][name]}
    assert differing == {"cron_schedule"}


def test_what_another_location_has_too_is_named(tmp_path: Path) -> None:
    candidate = code_server(tmp_path / "a" / "release.py", CODE.format(cron="0 1 * * *"))
    beside = code_server(tmp_path / "b" / "release.py", OTHER)
    with candidate as release, beside as other:
        others = {"other": other.address, "gone": "127.0.0.1:9"}
        found = report(release.address, None, others, 1)
        again = report(release.address, release.address, others, 1)
    assert found["silent"] == ["gone"]
    assert [(one["kind"], one["name"]) for one in found["clashes"]] == [
        ("asset", "orders"),
        ("asset check", "orders:some"),
        ("job", "tick_job"),
        ("schedule", "tick"),
        ("sensor", "files"),
    ]
    assert all(one["locations"] == ["other"] and one["new"] for one in found["clashes"])
    assert not any(one["new"] for one in again["clashes"])


def test_an_asset_of_another_location_may_be_depended_on_and_observed(tmp_path: Path) -> None:
    candidate = code_server(tmp_path / "a" / "release.py", CODE.format(cron="0 1 * * *"))
    beside = code_server(tmp_path / "b" / "release.py", READER)
    with candidate as release, beside as reader:
        there = report(release.address, None, {"reader": reader.address}, 1)
        back = report(reader.address, None, {"release": release.address}, 1)
    assert there["clashes"] == back["clashes"] == []


def test_one_without_definitions_and_without_an_image(tmp_path: Path) -> None:
    with code_server(tmp_path / "a" / "release.py", EMPTY) as candidate:
        found = report(candidate.address, "127.0.0.1:9", {}, 1)
    assert found["live"] is None
    assert found["candidate"]["image"] is None
    assert not any(found["candidate"]["definitions"].values())


def test_one_is_told_to_end(tmp_path: Path) -> None:
    with code_server(tmp_path / "a" / "release.py", EMPTY) as server:
        assert not server.told_to_end.is_set()
        drain(server.address)
        assert server.told_to_end.wait(30)


def test_one_that_never_serves() -> None:
    with pytest.raises(StackError, match="it did not serve within 1 s: "):
        report("127.0.0.1:9", None, {}, 1)


def test_one_that_is_gone_cannot_be_asked_to_end() -> None:
    with pytest.raises(StackError, match=r"127\.0\.0\.1:9 cannot be asked to end"):
        drain("127.0.0.1:9")

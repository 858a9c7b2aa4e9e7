"""A location that fills the disk with step logs ends, and no other one does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.test_utils import create_run_for_test, instance_for_test

from control_plane import step_log_limits
from control_plane.queue_daemon import PromptQueueDaemon
from control_plane.step_log_limits import StepLogLimits, measured

LIMIT = 1_000_000


@pytest.fixture
def instance(
    new_home: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[DagsterInstance]:
    launcher = {"module": "dagster._core.test_utils", "class": "MockedRunLauncher"}
    with instance_for_test({"run_launcher": launcher}, temp_dir=new_home()) as instance:
        yield instance


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("elt", "analytics"):
        (tmp_path / "logs" / name).mkdir(parents=True)
    return tmp_path / "logs"


def run_of(instance: DagsterInstance, location: str, status: DagsterRunStatus) -> DagsterRun:
    origin = RemoteJobOrigin(
        RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "__repository__"), "job"
    )
    return create_run_for_test(instance, job_name="job", status=status, remote_job_origin=origin)


def fill(folder: Path, location: str) -> Path:
    file = folder / location / "a-run" / "compute_logs" / "step.out"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * 2 * LIMIT)
    return file


@pytest.fixture
def terminated(instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the runs that the launcher was told to end."""
    ended: list[str] = []
    monkeypatch.setattr(type(instance.run_launcher), "terminate", lambda _, id: ended.append(id))
    return ended


def test_its_runs_end_and_say_why(
    instance: DagsterInstance, folder: Path, terminated: list[str]
) -> None:
    runs = {name: run_of(instance, name, DagsterRunStatus.STARTED) for name in ("elt", "analytics")}
    limits = StepLogLimits(instance, folder, LIMIT)
    limits.look()
    assert terminated == []
    file = fill(folder, "elt")
    limits.look()
    assert terminated == [runs["elt"].run_id]
    said = instance.all_logs(runs["elt"].run_id)[-1].message
    assert said.startswith("The step logs of code location elt take 0.0 GB, more than the 0.001 GB")
    assert "Fix: " in said
    assert limits.refusal(runs["elt"]) == said
    assert limits.refusal(runs["analytics"]) is None
    file.unlink()
    limits.look()
    assert limits.refusal(runs["elt"]) is None


def test_a_run_in_the_queue_is_failed_with_the_reason(
    instance: DagsterInstance, folder: Path, terminated: list[str]
) -> None:
    fill(folder, "elt")
    limits = StepLogLimits(instance, folder, LIMIT)
    limits.look()
    runs = {name: run_of(instance, name, DagsterRunStatus.QUEUED) for name in ("elt", "analytics")}
    daemon = PromptQueueDaemon(1, limits.refusal)
    found = daemon._get_runs_to_dequeue(
        instance, instance.get_concurrency_config(), fixed_iteration_time=None
    )
    assert [run.run_id for run in found] == [runs["analytics"].run_id]
    failed: Any = instance.get_run_by_id(runs["elt"].run_id)
    assert failed.status == DagsterRunStatus.FAILURE
    assert "STEP_LOGS_LIMIT_GB" in instance.all_logs(failed.run_id)[-1].message


def test_it_measures_when_the_disk_gets_fuller(
    instance: DagsterInstance, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []
    monkeypatch.setattr(step_log_limits, "measured", lambda path: looked.append(path) or 0)
    free = iter([10 * LIMIT, 10 * LIMIT - LIMIT // 100, 9 * LIMIT])

    class Status:
        f_frsize = 1

        def __init__(self) -> None:
            self.f_bavail = next(free)

    monkeypatch.setattr(step_log_limits.os, "statvfs", lambda _: Status())
    limits = StepLogLimits(instance, folder, LIMIT)
    for seen in (2, 2, 4):
        limits.look()
        assert len(looked) == seen


def test_links_lead_nowhere(folder: Path, tmp_path: Path) -> None:
    """Neither a log nor a folder of another's counts, and none counts twice."""
    fill(folder, "elt")
    (folder / "analytics" / "file").symlink_to(folder / "elt/a-run/compute_logs/step.out")
    (folder / "analytics" / "folder").symlink_to(folder / "elt")
    assert measured(folder / "analytics") < LIMIT
    assert measured(folder / "elt") >= 2 * LIMIT


def test_a_file_with_holes_counts_as_what_it_takes(folder: Path) -> None:
    with (folder / "elt" / "sparse").open("wb") as file:
        file.truncate(10**12)
    assert measured(folder / "elt") < LIMIT

"""Step logs, in folders that code of a location may fill with whatever it likes."""

from __future__ import annotations

import os
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster_webserver.webserver import DagsterWebserver

from control_plane import step_logs
from control_plane.step_logs import StepLogs, open_below

SECRET = "the webserver's own"
# How often a race is to end in either way.
OFTEN = 100 if os.environ.get("SOAK") == "full" else 20


def repository(location: str) -> RemoteRepositoryOrigin:
    """A repository that a location serves."""
    server = GrpcServerCodeLocationOrigin(host=location, port=4000, location_name=location)
    return RemoteRepositoryOrigin(server, "__repository__")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The volume, with a folder for each of two locations."""
    for name in ("elt", "analytics"):
        (tmp_path / "logs" / name).mkdir(parents=True)
    (tmp_path / "secret").write_text(SECRET)
    return tmp_path / "logs"


@pytest.fixture
def instance(
    folder: Path, new_home: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """An instance as dagster.yaml has it, in a process that keeps logs apart."""
    # Put back afterwards.
    monkeypatch.setattr(InstanceRef, "compute_log_manager", InstanceRef.compute_log_manager)
    monkeypatch.setattr(
        DagsterWebserver,
        "download_captured_logs_endpoint",
        DagsterWebserver.download_captured_logs_endpoint,
    )
    step_logs.keep_apart()
    logs = {
        "module": "dagster._core.storage.local_compute_log_manager",
        "class": "LocalComputeLogManager",
        "config": {"base_dir": str(folder), "polling_timeout": 0.05},
    }
    overrides = {"compute_logs": logs, "telemetry": {"enabled": False}}
    reference = InstanceRef.from_dir(new_home(), overrides=overrides)
    with dg.DagsterInstance.from_ref(reference) as found:
        yield found


@pytest.fixture
def logs(instance: dg.DagsterInstance) -> StepLogs:
    """The reader."""
    found = instance.compute_log_manager
    assert isinstance(found, StepLogs)
    return found


@pytest.fixture
def run_id(instance: dg.DagsterInstance) -> str:
    """A run of elt."""
    run = dg.DagsterRun(
        job_name="job",
        run_id=str(uuid.uuid4()),
        remote_job_origin=RemoteJobOrigin(repository("elt"), "job"),
    )
    instance.add_run(run)
    return run.run_id


def write(folder: Path, location: str, run_id: str, text: str, name: str = "step.out") -> Path:
    """A log as a step of the location writes it."""
    path = folder / location / run_id / "compute_logs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def stdout(logs: StepLogs, run_id: str, **how: Any) -> str | None:
    """What the UI is given."""
    key = [run_id, "compute_logs", "step"]
    content, _ = logs.get_log_data_for_type(key, ComputeIOType.STDOUT, **how)
    return None if content is None else content.decode()


def test_a_log_is_read_in_the_runs_own_location(folder: Path, logs: StepLogs, run_id: str) -> None:
    write(folder, "analytics", run_id, "not by elt")
    assert stdout(logs, run_id) is None
    write(folder, "elt", run_id, "by elt")
    assert stdout(logs, run_id) == "by elt"
    assert stdout(logs, run_id, offset=3, max_bytes=2) == "el"
    assert not logs.is_capture_complete([run_id, "compute_logs", "step"])
    write(folder, "elt", run_id, "", "step.complete")
    assert logs.is_capture_complete([run_id, "compute_logs", "step"])


def test_a_log_from_before_there_were_folders(folder: Path, logs: StepLogs, run_id: str) -> None:
    write(folder, ".", run_id, "old")
    assert stdout(logs, run_id) == "old"


def test_a_run_that_nobody_knows_has_none(folder: Path, logs: StepLogs) -> None:
    unknown = str(uuid.uuid4())
    write(folder, "elt", unknown, "by elt")
    assert stdout(logs, unknown) is None


def test_links_are_not_followed(folder: Path, logs: StepLogs, run_id: str) -> None:
    path = write(folder, "elt", run_id, "")
    path.unlink()
    path.symlink_to(folder.parent / "secret")
    assert stdout(logs, run_id) is None
    path.unlink()
    path.parent.rmdir()
    (folder.parent / "step.out").write_text(SECRET)
    path.parent.symlink_to(folder.parent)
    assert stdout(logs, run_id) is None
    path.parent.unlink()
    path.parent.parent.rmdir()
    (folder.parent / "elsewhere" / "compute_logs").mkdir(parents=True)
    (folder.parent / "elsewhere" / "compute_logs" / "step.out").write_text(SECRET)
    path.parent.parent.symlink_to(folder.parent / "elsewhere")
    assert stdout(logs, run_id) is None


def test_links_that_come_and_go_are_not_followed(folder: Path, logs: StepLogs, run_id: str) -> None:
    path = write(folder, "elt", run_id, "a log")
    other = path.with_name("other")
    link = path.with_name("link")
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            other.write_text("a log")
            other.rename(path)
            link.symlink_to(folder.parent / "secret")
            link.rename(path)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        seen: Counter[str | None] = Counter()
        while seen.total() < 2000 and min(seen["a log"], seen[None]) < OFTEN:
            seen[stdout(logs, run_id)] += 1
    finally:
        over.set()
        swapping.join()
    assert set(seen) == {"a log", None}


def test_pipes_and_folders_are_no_logs(folder: Path, logs: StepLogs, run_id: str) -> None:
    path = write(folder, "elt", run_id, "")
    path.unlink()
    os.mkfifo(path)
    assert stdout(logs, run_id) is None
    path.unlink()
    path.mkdir()
    assert stdout(logs, run_id) is None


@pytest.mark.parametrize(
    "parts", [[], [".."], ["elt", "..", "x"], ["elt/x"], [""], ["/etc"], ["a\0b"], ["a" * 300]]
)
def test_paths_that_are_none(folder: Path, parts: list[str]) -> None:
    with pytest.raises(FileNotFoundError):
        open_below(str(folder), parts)


def test_one_answer_is_bounded(folder: Path, logs: StepLogs, run_id: str) -> None:
    path = write(folder, "elt", run_id, "")
    with path.open("wb") as file:
        file.truncate(10 * 1024**3)
    content, end = logs.get_log_data_for_type(
        [run_id, "compute_logs", "step"], ComputeIOType.STDOUT, max_bytes=10 * 1024**3
    )
    assert content is not None
    assert len(content) == end == 4 * 1024 * 1024


def test_who_follows_a_log_gets_all_of_it(folder: Path, logs: StepLogs, run_id: str) -> None:
    path = write(folder, "elt", run_id, "one\n")
    got: list[str] = []
    followed = logs.subscribe([run_id, "compute_logs", "step"])
    followed(lambda data: got.append((data.stdout or b"").decode()))
    with path.open("a") as file:
        file.write("two\n")
    write(folder, "elt", run_id, "", "step.complete")
    ended = threading.Event()
    while not followed.is_complete:
        assert not ended.wait(0.01)
    assert "".join(got) == "one\ntwo\n"


def test_a_ticks_log_is_read_in_its_instigators_location(
    folder: Path, logs: StepLogs, instance: dg.DagsterInstance
) -> None:
    origin = RemoteInstigatorOrigin(repository("elt"), "a_schedule")
    cron = ScheduleInstigatorData("* * * * *")
    state = InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, cron)
    instance.add_instigator_state(state)
    tick = instance.create_tick(
        TickData(
            instigator_origin_id=origin.get_id(),
            instigator_name="a_schedule",
            instigator_type=InstigatorType.SCHEDULE,
            status=TickStatus.STARTED,
            timestamp=0.0,
            selector_id=state.selector_id,
        )
    )
    key = ["__repository__", "a_schedule", str(tick.tick_id)]
    for location in ("elt", "analytics"):
        path = folder / location / "__repository__" / "a_schedule" / f"{tick.tick_id}.err"
        path.parent.mkdir(parents=True)
        path.write_text(location)
    assert logs.get_log_data(key).stderr == b"elt"
    assert logs.get_log_data([*key[:2], "999"]).stderr is None

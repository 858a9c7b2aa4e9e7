"""The program of run containers, in images whose Dagster lacks what it would like to use."""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.test_utils import instance_for_test
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import serialize_value
from sqlalchemy.exc import OperationalError

from compose_run_launcher import commands, worker
from compose_run_launcher.belongs import serialized

JOB = """
import dagster as dg


@dg.op
def one() -> int:
    return 1


@dg.job(executor_def=dg.in_process_executor)
def job():
    one()


defs = dg.Definitions(jobs=[job])
"""
ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("elt"), "__repository__"), "job"
)
OPTIONAL = (worker._PLUGINS, worker._DEFINITION, worker._STEP_PROCESS)
OF_AN_INSTANCE = (
    *(worker._KEEP_CONNECTIONS, worker._NEW_EVENT),
    *(*worker._QUESTIONS, *worker._CONNECTS),
)


@pytest.fixture
def instance(
    monkeypatch: pytest.MonkeyPatch, new_home: Callable[[], str]
) -> Iterator[DagsterInstance]:
    worker.find.cache_clear()
    # The worker replaces it for its process, which is ours here.
    module, _, name = worker._PLUGINS.partition(":")
    plugins = importlib.import_module(module)
    monkeypatch.setattr(plugins, name, getattr(plugins, name))
    with instance_for_test(temp_dir=new_home()) as instance:
        yield instance
    gc.unfreeze()
    worker.find.cache_clear()


@pytest.fixture
def repository(tmp_path: Path) -> ReconstructableRepository:
    (tmp_path / "jobs.py").write_text(JOB)
    return ReconstructableRepository.for_file(str(tmp_path / "jobs.py"), "defs", str(tmp_path))


@pytest.fixture
def run(instance: DagsterInstance, repository: ReconstructableRepository) -> DagsterRun:
    """One that the launcher is about to hand to a worker."""
    recon = repository.get_reconstructable_job("job")
    return instance.create_run_for_job(
        recon.get_definition(),
        remote_job_origin=ORIGIN,
        job_code_origin=recon.get_python_origin(),
        status=DagsterRunStatus.STARTING,
    )


def order_of(instance: DagsterInstance, run: DagsterRun) -> dict[str, Any]:
    """As the launcher writes it."""
    assert run.job_code_origin is not None
    args = ExecuteRunArgs(run.job_code_origin, run.run_id, instance.get_ref())
    pointer = run.job_code_origin.repository_origin.code_pointer
    command = commands.execute_run(
        commands.Code("elt", sys.executable, (serialized(pointer),)),
        serialize_value(instance.get_ref()),
        run.run_id,
        args.get_command_args(),
    )
    order: dict[str, Any] = json.loads(command[-1])
    return order


def remove(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Take `module:name.name` away, as from an older Dagster."""
    module, _, names = path.partition(":")
    *owners, name = names.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    monkeypatch.delattr(owner, name)


def remove_from_instance(
    monkeypatch: pytest.MonkeyPatch, instance: DagsterInstance, path: str
) -> None:
    """The same for a path in an instance."""
    *storage, name = path.split(".")
    owner = functools.reduce(getattr, storage, instance)
    for kind in type(owner).__mro__:
        if name in vars(kind):
            # Abstract methods stand further up, so all of them have to go.
            monkeypatch.delattr(kind, name)


def succeeded(instance: DagsterInstance, run: DagsterRun) -> bool:
    now = instance.get_run_by_id(run.run_id)
    return now is not None and now.status == DagsterRunStatus.SUCCESS


def test_a_run_is_executed_with_nothing_missing(
    instance: DagsterInstance, run: DagsterRun, capsys: pytest.CaptureFixture[str]
) -> None:
    assert worker.main(order_of(instance, run)) == 0
    assert succeeded(instance, run)
    assert "run worker:" not in capsys.readouterr().err


@pytest.mark.parametrize("path", [*worker._TO_EXECUTE, *OPTIONAL])
def test_the_pinned_dagster_has_it(path: str) -> None:
    worker.find.cache_clear()
    assert worker.find(path) is not None


@pytest.mark.parametrize("path", [*OF_AN_INSTANCE, worker._LOGS])
def test_instances_of_the_pinned_dagster_have_it(instance: DagsterInstance, path: str) -> None:
    assert worker.find_in(instance, path) is not None


@pytest.mark.parametrize("path", OPTIONAL)
def test_what_a_run_can_do_without_may_be_missing(
    instance: DagsterInstance,
    run: DagsterRun,
    repository: ReconstructableRepository,
    capsys: pytest.CaptureFixture[str],
    path: str,
) -> None:
    """Only for us: this release of Dagster itself needs it to execute a run."""
    with pytest.MonkeyPatch.context() as patched:
        remove(patched, path)
        worker.import_dagster()
        worker.repeat_in_step_processes()
        worker.warm_up(instance, [serialize_value(repository.pointer)])
    assert worker.main(order_of(instance, run)) == 0
    assert succeeded(instance, run)
    assert capsys.readouterr().err.count(f"this image's Dagster has no {path}:") == 1


def without_components(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Dagster from before there were components has not even the module."""
    monkeypatch.setitem(sys.modules, worker._PLUGINS.partition(":")[0], None)  # type: ignore[arg-type]


def test_a_whole_module_may_be_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_components(monkeypatch)
    worker.find.cache_clear()
    worker.import_dagster()
    assert f"has no {worker._PLUGINS}:" in capsys.readouterr().err
    worker.find.cache_clear()


@pytest.mark.parametrize("path", OF_AN_INSTANCE)
def test_what_saves_time_may_be_missing_in_the_instance(
    instance: DagsterInstance,
    run: DagsterRun,
    repository: ReconstructableRepository,
    path: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Opened and got ready without it; whether Dagster can do without it, is not the question."""
    order = order_of(instance, run)
    with pytest.MonkeyPatch.context() as patched:
        remove_from_instance(patched, instance, path)
        opened = worker.open_instance(order["instance"])
        if path in worker._CONNECTS:
            worker.release_connections(opened)
    assert f"has no {path}:" in capsys.readouterr().err
    worker.warm_up(opened, [serialize_value(repository.pointer)])
    assert worker.execute(opened, run.run_id, "elt", order["pointers"]) == 0
    assert succeeded(instance, run)


def test_a_setting_that_has_other_parameters_is_left_alone(
    instance: DagsterInstance, run: DagsterRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def optimize_for_webserver(_self: Any, other: int) -> None:
        raise AssertionError(other)

    monkeypatch.setattr(DagsterInstance, worker._KEEP_CONNECTIONS, optimize_for_webserver)
    assert worker.main(order_of(instance, run)) == 0
    assert succeeded(instance, run)


class Became(Exception):
    """The process would be another program now."""


def become(program: str, command: list[str]) -> None:
    assert program == command[0]
    raise Became(command)


@pytest.mark.parametrize("path", worker._TO_EXECUTE)
def test_without_what_executes_runs_dagsters_command_does(
    instance: DagsterInstance, run: DagsterRun, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    order = order_of(instance, run)
    remove(monkeypatch, path)
    monkeypatch.setattr(os, "execvp", become)
    with pytest.raises(Became) as became:
        worker.main(order)
    assert became.value.args[0] == order["otherwise"]


def test_an_execution_that_has_other_parameters_is_left_to_dagsters_command(
    instance: DagsterInstance, run: DagsterRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it had until 1.0."""

    def older(recon_pipeline: Any, pipeline_run_id: str, instance: Any, write: Any) -> None:
        raise AssertionError(pipeline_run_id)

    module, _, name = worker._EXECUTE.partition(":")
    monkeypatch.setattr(importlib.import_module(module), name, older)
    monkeypatch.setattr(os, "execvp", become)
    with pytest.raises(Became):
        worker.main(order_of(instance, run))


def test_dagsters_command_executes_the_run(instance: DagsterInstance, run: DagsterRun) -> None:
    """In a process of its own, as the program really ends there."""
    program = Path(worker.__file__).read_text()
    gone = f"import dagster._cli.api as api; del api.{worker._EXECUTE.partition(':')[2]}\n"
    # Only what the program sees; the command after it is another process.
    text = program.replace("\nif __name__", f"\n{gone}\nif __name__", 1)
    order = order_of(instance, run)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-c", text, json.dumps(order)],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Dagster's own command executes the run" in done.stderr
    assert succeeded(instance, run)


@pytest.fixture
def signals() -> Iterator[None]:
    """A standby worker blocks and ignores one; this process is not to."""
    before = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, before)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("missing", [None, worker._PLUGINS])
def test_a_standby_worker_takes_its_run(
    instance: DagsterInstance,
    run: DagsterRun,
    repository: ReconstructableRepository,
    monkeypatch: pytest.MonkeyPatch,
    missing: str | None,
) -> None:
    if missing:
        remove(monkeypatch, missing)
    instance.add_run_tags(run.run_id, worker.handover_tags("ticket", "key", run.run_id))
    # Blocked already, the signal waits until the worker does.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
    order = {
        "instance": serialize_value(instance.get_ref()),
        "location": "elt",
        "pointers": [serialize_value(repository.pointer)],
        "ticket": "ticket",
        "key": "key",
        "max_idle_s": 60,
    }
    assert worker.main(order) == 0
    assert succeeded(instance, run)


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("path", worker._TO_EXECUTE)
def test_a_standby_worker_that_could_not_execute_is_never_ready(
    instance: DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    path: str,
) -> None:
    order = {"instance": serialize_value(instance.get_ref()), "pointers": [], "ticket": "t"}
    remove(monkeypatch, path)
    assert worker.main(order) == 1
    captured = capsys.readouterr()
    assert worker.READY not in captured.out
    assert path in captured.err


def test_steps_processes_get_the_program_as_the_container_has_it() -> None:
    """There it is an argument, not a file."""
    text = worker._own_text().partition("\nif __name__")[0] + "\nprint(_own_text(), end='')\n"
    done = subprocess.run(
        [sys.executable, "-c", text, "{}"], check=True, capture_output=True, text=True
    )
    assert done.stdout == text


def test_it_imports_nothing_but_dagster_and_the_standard_library() -> None:
    imported = {
        name.partition(".")[0]
        for name, value in vars(worker).items()
        if isinstance(value, ModuleType)
    }
    assert imported <= sys.stdlib_module_names


@pytest.mark.parametrize("end", [0, 1, RuntimeError("like any other")])
def test_a_database_that_does_not_come_back_has_an_exit_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, end: int | Exception
) -> None:
    def main(_order: Any) -> int:
        with pytest.raises(OperationalError):
            worker._until_there(object(), "get_runs", ask, (), {})
        if isinstance(end, Exception):
            raise end
        return end

    def ask() -> None:
        raise OperationalError("", {}, Exception("could not connect to server"))

    monkeypatch.setattr(worker, "main", main)
    monkeypatch.setattr(worker, "_AWAY_S", 0)
    monkeypatch.setattr(worker, "_given_up", [])
    monkeypatch.setattr(worker.time, "sleep", lambda _: None)
    assert worker.status({}) == worker.UNREACHABLE


def test_other_ends_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_given_up", [])
    monkeypatch.setattr(worker, "main", lambda _order: 3)
    assert worker.status({}) == 3
    monkeypatch.setattr(worker, "main", lambda _order: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        worker.status({})

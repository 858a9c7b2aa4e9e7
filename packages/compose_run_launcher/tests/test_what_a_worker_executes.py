"""A worker executes what it was started for, and nothing else that a row may ask for."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.code_pointer import (
    CodePointer,
    CustomPointer,
    ModuleCodePointer,
    PackageCodePointer,
)
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.runs.schema import RunsTable, RunTagsTable
from dagster._core.test_utils import create_run_for_test, instance_for_test
from dagster._serdes import serialize_value

from compose_run_launcher import commands
from compose_run_launcher.belongs import serialized
from compose_run_launcher.testing import Completed, Python
from compose_run_launcher.worker import (
    PROOF_TAG,
    REFUSED,
    TICKET_TAG,
    foreign,
    handed_over,
    handover_tags,
)

TICKET, KEY = "0123456789ab", "a key that is in no database"
CODE = """
from pathlib import Path
import dagster as dg

@dg.op
def leave_a_trace():
    Path(__file__).with_name("executed").touch()

@dg.job(executor_def=dg.in_process_executor)
def job():
    leave_a_trace()

defs = dg.Definitions(jobs=[job])
"""


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture(scope="module")
def stored() -> Iterator[DagsterInstance]:
    """An instance that another process can open."""
    with instance_for_test() as instance:
        yield instance


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "the_location.py").write_text(CODE)
    return tmp_path


def own_pointer(folder: Path) -> CodePointer:
    return ModuleCodePointer("the_location", "defs", str(folder))


def new_run(
    instance: DagsterInstance, location: str, pointer: CodePointer, **tags: str
) -> DagsterRun:
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "__repository__")
    return create_run_for_test(
        instance,
        job_name="job",
        status=DagsterRunStatus.STARTING,
        tags=tags,
        remote_job_origin=RemoteJobOrigin(repository, "job"),
        job_code_origin=JobPythonOrigin("job", RepositoryPythonOrigin("python", pointer)),
    )


def execute(python: Python, instance: DagsterInstance, run: DagsterRun, folder: Path) -> Completed:
    """The worker's program in a process of its own, started for this location and its pointer."""
    code = commands.Code("analytics", sys.executable, (serialized(own_pointer(folder)),))
    command = commands.execute_run(code, serialize_value(instance.get_ref()), run.run_id, [])
    program, *arguments = command[command.index("-c") + 1 :]
    return python(program, *arguments, cwd=folder)


def test_it_executes_its_own_run(python: Python, stored: DagsterInstance, folder: Path) -> None:
    run = new_run(stored, "analytics", own_pointer(folder))
    done = execute(python, stored, run, folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "executed").exists()


def test_it_refuses_another_pointer(python: Python, stored: DagsterInstance, folder: Path) -> None:
    """The row was changed after the launch; test_what_is_foreign has all cases."""
    attack = CustomPointer(ModuleCodePointer("os", "system"), ["touch attacked"], [])
    run = new_run(stored, "elt", attack)
    done = execute(python, stored, run, folder)
    assert done.returncode == REFUSED, done.stderr
    assert not (folder / "attacked").exists()
    assert f"refused: run {run.run_id}" in done.stderr.splitlines()[-1]
    events = stored.all_logs(run.run_id)
    assert any("The worker refused the run" in event.message for event in events)
    now = stored.get_run_by_id(run.run_id)
    assert now is not None
    assert now.status == DagsterRunStatus.STARTING


@pytest.mark.parametrize(
    ("location", "pointer", "words"),
    [
        ("elt", ModuleCodePointer("m", "defs", "/app"), "of location elt"),
        ("analytics", PackageCodePointer("m", "defs", "/app"), "its code pointer is"),
        ("analytics", ModuleCodePointer("m", "defs", "/tmp"), "its code pointer is"),
        ("analytics", ModuleCodePointer("m", "defs", "/app"), None),
    ],
)
def test_what_is_foreign(
    instance: DagsterInstance, location: str, pointer: CodePointer, words: str | None
) -> None:
    own = [serialized(ModuleCodePointer("m", "defs", "/app"))]
    why = foreign(new_run(instance, location, pointer), "analytics", own)
    assert (words is None) == (why is None)
    assert words is None or words in str(why)


def test_a_ticket_gives_its_own_run(instance: DagsterInstance, folder: Path) -> None:
    run = new_run(instance, "analytics", own_pointer(folder))
    assert handed_over(instance, TICKET, KEY) is None
    instance.add_run_tags(run.run_id, handover_tags(TICKET, KEY, run.run_id))
    assert handed_over(instance, TICKET, KEY).run_id == run.run_id


def test_a_ticket_that_was_moved_gives_no_run(instance: DagsterInstance, folder: Path) -> None:
    """Ticket and proof can be read and moved; without the key there is no proof for another."""
    run = new_run(instance, "analytics", own_pointer(folder))
    other = new_run(instance, "elt", own_pointer(folder))
    instance.add_run_tags(run.run_id, handover_tags(TICKET, KEY, run.run_id))
    move_tag(instance, TICKET_TAG, other.run_id)
    assert handed_over(instance, TICKET, KEY) is None
    move_tag(instance, PROOF_TAG, other.run_id)
    copied = handover_tags(TICKET, KEY, run.run_id)
    set_body(instance, other.run_id, other.with_tags(copied))
    assert handed_over(instance, TICKET, KEY) is None


def test_copies_of_a_ticket_do_not_hide_the_run(instance: DagsterInstance, folder: Path) -> None:
    run = new_run(instance, "analytics", own_pointer(folder))
    instance.add_run_tags(run.run_id, handover_tags(TICKET, KEY, run.run_id))
    for _ in range(3):
        new_run(instance, "elt", own_pointer(folder), **{TICKET_TAG: TICKET})
    assert handed_over(instance, TICKET, KEY).run_id == run.run_id


def test_the_next_daemon_can_write_the_tags_again() -> None:
    """From what the engine says of the container, and from nothing else."""
    code = commands.Code("elt", "python", ())
    command = commands.stand_by(code, "instance", TICKET, KEY, 1.0)
    container = {"Config": {"Cmd": command}}
    assert commands.handover_tags(container, "run") == handover_tags(TICKET, KEY, "run")
    assert KEY not in json.dumps(handover_tags(TICKET, KEY, "run"))


@pytest.mark.parametrize("command", [None, [], ["sleep", "1"], ["python", "-c", "", "{}"]])
def test_a_worker_without_a_key_is_not_used(command: Any) -> None:
    with pytest.raises(ValueError, match="earlier launcher"):
        commands.handover_tags({"Config": {"Cmd": command}}, "run")


def move_tag(instance: DagsterInstance, key: str, run_id: str) -> None:
    storage: Any = instance.run_storage
    with storage.connect() as connection:
        is_it = RunTagsTable.c.key == key
        connection.execute(sqlalchemy.update(RunTagsTable).where(is_it).values(run_id=run_id))


def set_body(instance: DagsterInstance, run_id: str, run: DagsterRun) -> None:
    storage: Any = instance.run_storage
    with storage.connect() as connection:
        is_it = RunsTable.c.run_id == run_id
        body = serialize_value(run)
        connection.execute(sqlalchemy.update(RunsTable).where(is_it).values(run_body=body))

"""What is tried again after it has failed, when, and by whom."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_run_launcher.losses import FAULT_TAG, Decision, Fault, decide
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.test_utils import create_run_for_test

from control_plane import retries
from control_plane.internals.retries import HOOKS
from control_plane.retries import Retries, decide_by_fault, is_to_be_retried

ROOT = Path(__file__).resolve().parents[3]
HOUR = 3600.0


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    """One that retries as the stack's does."""
    for hook in HOOKS:
        monkeypatch.setattr(hook.owner, hook.name, hook.original())
    decide_by_fault()
    settings = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    with DagsterInstance.ephemeral(settings={"run_retries": settings["run_retries"]}) as instance:
        yield instance


def a_run(instance: DagsterInstance, parent: DagsterRun | None = None, **tags: str) -> DagsterRun:
    """A run under way; a retry of its parent, with its parent's tags, as Dagster makes it."""
    family: dict[str, Any] = {}
    if parent is not None:
        root = parent.root_run_id or parent.run_id
        family = {"parent_run_id": parent.run_id, "root_run_id": root}
        kept = {k: v for k, v in parent.tags.items() if k != "dagster/will_retry"}
        named = {"dagster/parent_run_id": parent.run_id, "dagster/root_run_id": root}
        tags = {**kept, **named, "dagster/retry_number": "1", **tags}
    return create_run_for_test(
        instance, job_name="job", status=DagsterRunStatus.STARTED, tags=tags, **family
    )


def again(instance: DagsterInstance, run: DagsterRun) -> DagsterRun:
    """The run as it is now."""
    now = instance.get_run_by_id(run.run_id)
    assert now is not None
    return now


def fail(
    instance: DagsterInstance,
    run: DagsterRun,
    fault: Fault | None = None,
    reason: RunFailureReason = RunFailureReason.RUN_EXCEPTION,
) -> bool:
    """Fail the run; whether it is to be retried."""
    if fault is not None:
        decide(instance, run, fault)
    instance.report_run_failed(run, "", JobFailureData(error=None, failure_reason=reason))
    return again(instance, run).tags["dagster/will_retry"] == "true"


# Class, what the run asks for, and how many of its attempts in a row are retried of five.
@pytest.mark.parametrize(
    ("fault", "reason", "asked", "retried"),
    [
        (Fault.LOST, RunFailureReason.UNEXPECTED_TERMINATION, None, 5),
        (Fault.LOST, RunFailureReason.UNEXPECTED_TERMINATION, "2", 5),
        (Fault.LOST, RunFailureReason.UNEXPECTED_TERMINATION, "0", 0),
        (Fault.LOST, RunFailureReason.JOB_INITIALIZATION_FAILURE, None, 5),
        (Fault.OWN, RunFailureReason.UNEXPECTED_TERMINATION, None, 0),
        (Fault.OWN, RunFailureReason.UNEXPECTED_TERMINATION, "2", 2),
        (Fault.OWN, RunFailureReason.JOB_INITIALIZATION_FAILURE, None, 0),
        # What nobody here has ended is Dagster's to decide.
        (None, RunFailureReason.STEP_FAILURE, None, 0),
        (None, RunFailureReason.START_TIMEOUT, None, 1),
        (None, RunFailureReason.RUN_EXCEPTION, None, 1),
        (None, RunFailureReason.RUN_EXCEPTION, "2", 2),
    ],
    ids=lambda value: getattr(value, "value", value),
)
def test_what_is_tried_again(
    instance: DagsterInstance,
    fault: Fault | None,
    reason: RunFailureReason,
    asked: str | None,
    retried: int,
) -> None:
    tags = {"dagster/max_retries": asked} if asked else {}
    run, found = a_run(instance, None, **tags), 0
    for _ in range(5):
        if not fail(instance, run, fault, reason):
            break
        found += 1
        run = a_run(instance, again(instance, run))
    assert found == retried


def test_a_re_execution_does_not_inherit_that_its_parent_is_not_retried(
    instance: DagsterInstance,
) -> None:
    run = a_run(instance)
    assert not fail(instance, run, Fault.OWN)
    by_hand = a_run(instance, again(instance, run))
    assert fail(instance, by_hand, Fault.LOST)


def test_pauses_get_longer_and_end(instance: DagsterInstance) -> None:
    pauses = [Decision("r", Fault.LOST, losses, 0, 100).due - 100 for losses in range(1, 14)]
    assert pauses[:5] == [0, 10, 20, 40, 80]
    assert pauses[-2:] == [HOUR, HOUR]
    assert Decision("r", Fault.LOST, 30, 0, 24 * HOUR).comes_through
    assert not Decision("r", Fault.LOST, 30, 0, 24 * HOUR + 1).comes_through


def test_losses_in_a_row_count_together(instance: DagsterInstance) -> None:
    run = a_run(instance)
    fail(instance, run, Fault.LOST)
    retry = a_run(instance, again(instance, run))
    fail(instance, retry, Fault.LOST)
    one, two = Decision.of(again(instance, run)), Decision.of(again(instance, retry))
    assert one is not None
    assert two is not None
    assert (one.losses, two.losses) == (1, 2)
    assert one.first == pytest.approx(two.first, abs=0.01)


@pytest.mark.parametrize("text", ["", "much", "r lost 1 2", "r lost one 2 3", "r whose 1 2 3"])
def test_a_tag_that_says_nothing_is_none(instance: DagsterInstance, text: str) -> None:
    assert Decision.of(a_run(instance, None, **{FAULT_TAG: text})) is None


def test_a_worker_that_was_interrupted_is_lost_however_often(instance: DagsterInstance) -> None:
    """It has failed its run itself, by Dagster's rule, which counts to one."""
    run = a_run(instance)
    for _ in range(3):
        instance.report_run_failed(
            run,
            "",
            JobFailureData(error=None, failure_reason=RunFailureReason.UNEXPECTED_TERMINATION),
        )
        instance.add_run_tags(run.run_id, {"dagster/will_retry": "false"})
        assert is_to_be_retried(again(instance, run), instance)
        assert again(instance, run).tags["dagster/will_retry"] == "true"
        run = a_run(instance, again(instance, run))


@pytest.fixture
def retried(monkeypatch: pytest.MonkeyPatch, instance: DagsterInstance) -> list[str]:
    """Ids of the runs that Dagster is asked to retry, which it does."""
    asked: list[str] = []

    def retry(run: DagsterRun, _workspace: object) -> None:
        asked.append(run.run_id)
        instance.add_run_tags(run.run_id, {"dagster/auto_retry_run_id": "another"})

    monkeypatch.setattr(retries, "retry_run", retry)
    return asked


def thread(instance: DagsterInstance) -> Retries:
    return Retries(instance, lambda: None)  # type: ignore[arg-type, return-value]


def test_each_is_retried_once_when_it_is_due(
    instance: DagsterInstance, retried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = a_run(instance)
    fail(instance, first, Fault.LOST)
    second = a_run(instance, again(instance, first))
    fail(instance, second, Fault.LOST)
    not_at_all = a_run(instance)
    fail(instance, not_at_all, Fault.OWN)
    looks = thread(instance)
    assert looks.look() == pytest.approx(10, abs=1)
    assert retried == [first.run_id]
    later = time.time() + 11
    monkeypatch.setattr(retries.time, "time", lambda: later)
    looks.look()
    looks.look()
    assert retried == [first.run_id, second.run_id]


def test_a_location_that_does_not_answer_is_waited_for(
    instance: DagsterInstance, retried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(instance)
    fail(instance, run, Fault.LOST)
    retry, away = retries.retry_run, [True, True, False]

    def answer(run: DagsterRun, workspace: Any) -> None:
        if away.pop(0):
            raise DagsterUserCodeUnreachableError("code server elt is not there")
        retry(run, workspace)

    monkeypatch.setattr(retries, "retry_run", answer)
    looks = thread(instance)
    for _ in range(3):
        looks.look()
    assert retried == [run.run_id]
    said = [entry.message for entry in instance.all_logs(run.run_id)]
    assert len([text for text in said if "will be tried again" in text]) == 1
    assert "code server elt is not there" in "".join(said)


def test_a_run_that_cannot_be_retried_keeps_no_other(
    instance: DagsterInstance, retried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, run = a_run(instance), a_run(instance)
    for each in (broken, run):
        fail(instance, each, Fault.LOST)
    retry = retries.retry_run

    def answer(run: DagsterRun, workspace: Any) -> None:
        if run.run_id == broken.run_id:
            raise RuntimeError("the job has gone")
        retry(run, workspace)

    monkeypatch.setattr(retries, "retry_run", answer)
    looks = thread(instance)
    looks.look()
    looks.look()
    assert retried == [run.run_id]
    assert again(instance, broken).tags["dagster/will_retry"] == "false"
    assert "the job has gone" in "".join(e.message for e in instance.all_logs(broken.run_id))


def test_a_retry_that_was_made_and_not_submitted_is(
    instance: DagsterInstance, retried: list[str]
) -> None:
    """The daemon ended between the two."""
    run = a_run(instance)
    fail(instance, run, Fault.LOST)
    made = create_run_for_test(
        instance,
        job_name="job",
        status=DagsterRunStatus.NOT_STARTED,
        parent_run_id=run.run_id,
        root_run_id=run.run_id,
        tags={"dagster/retry_number": "1"},
    )
    instance.add_run_tags(run.run_id, {"dagster/auto_retry_run_id": made.run_id})
    thread(instance).look()
    assert retried == [run.run_id]


def test_dagsters_own_retry_is_left_to_the_thread(
    instance: DagsterInstance, retried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = thread(instance)
    monkeypatch.setattr(looks, "start", lambda: None)
    looks.take_over()
    run = a_run(instance)
    fail(instance, run, Fault.LOST)
    owner, name = HOOKS[2].owner, HOOKS[2].name
    getattr(owner, name)(run, None)
    assert retried == []
    looks.look()
    assert retried == [run.run_id]

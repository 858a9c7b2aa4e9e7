"""A group that is stuck or fails is reported, and stops nothing."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from stack_exporter.groups import Group, Snapshot, work
from stack_exporter.series import Family, Row

FAMILY = Family("runs", "Runs.", (), "n")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def value(groups: Sequence[Group], clock: Clock, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(Snapshot(groups, 10, clock))
    return registry.get_sample_value(name, labels)


def test_a_failure_takes_the_old_values_away_and_is_said_once() -> None:
    clock, said = Clock(), list[str]()
    answers: list[Row] = [{"n": 3}]

    def collect() -> Sequence[Row]:
        if not answers:
            raise ValueError("gone")
        return [answers.pop()]

    group = Group("queue", 600, collect, (FAMILY,))
    assert value([group], clock, "dagster_exporter_group_up", group="queue") == 0
    group.run(clock, said.append)
    assert value([group], clock, "runs") == 3
    assert value([group], clock, "dagster_exporter_group_up", group="queue") == 1
    for _ in range(2):
        group.run(clock, said.append)
    assert said == ["queue: gone"]
    assert value([group], clock, "runs") is None
    assert value([group], clock, "dagster_exporter_group_up", group="queue") == 0
    assert value([group], clock, "dagster_exporter_group_failures_total", group="queue") == 2
    assert group.due_at == clock.now + 15
    answers.append({"n": 1})
    group.run(clock, said.append)
    assert said[-1] == "queue: works again"
    assert group.due_at == clock.now + 600
    assert value([group], clock, "runs") == 1


def test_one_that_hangs_is_down_while_it_hangs_and_others_of_its_thread_soon_after() -> None:
    clock, hanging, release = Clock(), threading.Event(), threading.Event()
    answers = [False, True]

    def collect() -> Sequence[Row]:
        if answers.pop(0):
            hanging.set()
            assert release.wait(30)
        return [{"n": 1}]

    slow = Group("slow", 15, collect, (FAMILY,))
    other = Group("other", 15, lambda: [{"n": 2}], (FAMILY,))
    for group in (slow, other):
        group.run(clock, print)
    clock.now += 15
    stop = threading.Event()
    thread = threading.Thread(target=work, args=([slow, other], stop, print, clock))
    thread.start()
    try:
        assert hanging.wait(30)
        assert slow.is_up(clock.now + 10)
        assert not slow.is_up(clock.now + 11)
        assert other.is_up(clock.now + 20)
        assert not other.is_up(clock.now + 30)
    finally:
        stop.set()
        release.set()
        thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize(("rows", "folded"), [(5, 0), (12, 2)])
def test_the_bound_says_what_it_took(rows: int, folded: int) -> None:
    clock = Clock()
    family = Family("runs", "", ("job",), "n")
    group = Group("queue", 15, lambda: [{"job": str(n), "n": 1} for n in range(rows)], (family,))
    group.run(clock, print)
    assert value([group], clock, "dagster_exporter_folded_series", metric="runs") == folded

"""Everything is killed, again and again, while runs are launched: none is lost, none runs twice."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from harness import FULL, Stack, until
from runs import Run, launch

CRASHES = 100 if FULL else 15
LAUNCH_EVERY_S = 2 if FULL else 4
# Which crash comes when is repeated by its seed, as far as the machine does the same.
SEEDS = (1, 2, 3) if FULL else (1,)
JOB = "marks_job"
SERVICES = (
    *("postgres", "daemon", "webserver", "docker_gateway", "web_gateway"),
    *("object_store", "rpc_networks", "scenarios", "ready"),
)
# Runs are half of what is killed: there are more of them than of anything else.
A_RUN = "a run"
SETTLES_S = 420


def say(text: str) -> None:
    """Progress for whoever waits."""
    print(f"{time.strftime('%X')} {text}", file=sys.stderr, flush=True)


@pytest.fixture(scope="module")
def marks(stack: Stack) -> Iterator[None]:
    """Where each execution of a step leaves a row."""
    stack.sql(
        "CREATE SCHEMA chaos; GRANT USAGE ON SCHEMA chaos TO PUBLIC;"
        " CREATE TABLE chaos.marks (execution text PRIMARY KEY, run_id text, root_run_id text,"
        " step text, began timestamptz DEFAULT clock_timestamp(), ended timestamptz);"
        " GRANT SELECT, INSERT, UPDATE ON chaos.marks TO PUBLIC"
    )
    yield
    stack.sql("DROP SCHEMA chaos CASCADE")


@dataclass
class Launches(threading.Thread):
    """Presses Launch every LAUNCH_EVERY_S, and again a second after a launch that was refused.

    A launch counts once the UI has said that it worked.
    """

    stack: Stack
    accepted: list[Run] = field(default_factory=list)
    refused: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    # Threads are looked up by identity.
    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        pause: float = LAUNCH_EVERY_S
        while not self.over.wait(pause):
            location = ("scenarios", "ready")[len(self.accepted) % 2]
            try:
                self.accepted.append(launch(self.stack, location, JOB))
                pause = LAUNCH_EVERY_S
            except (AssertionError, httpx.HTTPError, ValueError):
                self.refused += 1
                pause = 1


def kill(stack: Stack, what: str) -> str:
    """Kill a service or a run, and start a service again; which container it was."""
    if what == A_RUN:
        label = f"label=compose_run_launcher.project={stack.project}"
        name = f"name={stack.project}-run-"
        shown = stack.run("docker", "ps", "-q", "--filter", label, "--filter", name).split()
        if not shown:
            return "none that runs"
        stack.run("docker", "kill", shown[0], check=False)
        return shown[0]
    container = stack.container(what)
    # One that is starting again after a former crash need not run.
    stack.run("docker", "kill", container, check=False)
    # A container that was killed by Docker's own command is not started again by its policy.
    stack.run("docker", "start", container)
    return container[:12]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.usefixtures("marks")
def test_nothing_is_lost_and_nothing_runs_twice(stack: Stack, seed: int) -> None:
    chance = random.Random(seed)
    [[before]] = stack.sql("SELECT coalesce(max(id), 0) FROM runs", "dagster")
    runs = _RUNS.format(before=before)
    launches = Launches(stack)
    launches.start()
    began = time.monotonic()
    for number in range(CRASHES):
        time.sleep(chance.uniform(3, 9))
        what = chance.choice((*SERVICES, *[A_RUN] * len(SERVICES)))
        at = time.monotonic() - began
        say(f"seed {seed}, crash {number + 1} at {at:.1f} s: {what}, {kill(stack, what)}")
    launches.over.set()
    launches.join()
    stack.compose("up", "--detach", "--wait")

    accepted = {run.id for run in launches.accepted}
    assert len(accepted) >= CRASHES
    until(lambda: settled(stack, runs), SETTLES_S, every=2)
    ends = ends_by_root(stack, runs)
    lost = {root: ends.get(root) for root in accepted if ends.get(root) != "SUCCESS"}
    say(
        f"seed {seed}: {len(accepted)} accepted, {launches.refused} refused, {len(lost)} lost,"
        f" {len(ends)} with those whose answer was lost"
    )
    assert not lost, "\n\n".join(told(stack, runs, root) for root in lost)
    assert ended_twice(stack, runs) == []
    assert executed_twice(stack) == []
    assert overlapping(stack) == []
    assert incomplete(stack, ends) == []


# The runs of one test, each with the run that it began with.
_RUNS = f"""
WITH families AS (
  SELECT runs.id, runs.run_id, runs.status, coalesce(tags.value, runs.run_id) AS root
  FROM runs LEFT JOIN run_tags AS tags
    ON tags.run_id = runs.run_id AND tags.key = 'dagster/root_run_id'
  WHERE runs.pipeline_name = '{JOB}' AND runs.id > {{before}}
)
"""


def settled(stack: Stack, runs: str) -> None:
    """Nothing is under way, and nothing will be."""
    rows = stack.sql(
        f"{runs} SELECT run_id, status FROM families"
        " WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')"
        " OR status = 'FAILURE' AND EXISTS (SELECT FROM run_tags AS t"
        "  WHERE t.run_id = families.run_id AND key = 'dagster/will_retry' AND value = 'true')"
        " AND NOT EXISTS (SELECT FROM run_tags AS t"
        "  WHERE t.run_id = families.run_id AND key = 'dagster/auto_retry_run_id')",
        "dagster",
    )
    assert rows == []


def ends_by_root(stack: Stack, runs: str) -> dict[str, str]:
    """How the last run of each family ended."""
    rows = stack.sql(
        f"{runs} SELECT DISTINCT ON (root) root, status FROM families ORDER BY root, id DESC",
        "dagster",
    )
    return {root: status for root, status in rows}


def told(stack: Stack, runs: str, root: str) -> str:
    """What is known of a family of runs: each run's tags, and what its log says."""
    rows = stack.sql(
        f"{runs} SELECT run_id, status, (SELECT string_agg(key || '=' || left(value, 300), ', ')"
        f" FROM run_tags AS t WHERE t.run_id = families.run_id) FROM families"
        f" WHERE root = '{root}' ORDER BY id",
        "dagster",
    )
    lines = []
    for run_id, status, tags in rows:
        lines += [f"{run_id} {status} {tags}"]
        events = stack.sql(
            "SELECT timestamp, coalesce(dagster_event_type, 'log'), left(event::json ->>"
            " 'user_message', 600), left(event::json -> 'dagster_event' ->> 'message', 300),"
            " left(event::json -> 'dagster_event' ->> 'event_specific_data', 1500)"
            f" FROM event_logs WHERE run_id = '{run_id}' ORDER BY id",
            "dagster",
        )
        lines += ["  " + " | ".join(each) for each in events]
    return "\n".join(lines)


def ended_twice(stack: Stack, runs: str) -> list[list[str]]:
    """Runs with more than one final event, or with one that is not their state's."""
    return stack.sql(
        f"{runs} SELECT run_id, status, string_agg(dagster_event_type, ', ' ORDER BY e.id)"
        " FROM families JOIN event_logs AS e USING (run_id)"
        " WHERE dagster_event_type IN ('PIPELINE_SUCCESS', 'PIPELINE_FAILURE', 'PIPELINE_CANCELED')"
        " GROUP BY run_id, status"
        " HAVING string_agg(dagster_event_type, ', ') <> 'PIPELINE_' || status",
        "dagster",
    )


def executed_twice(stack: Stack) -> list[list[str]]:
    """Steps of one run that were executed more than once."""
    return stack.sql(
        "SELECT run_id, step, count(*) FROM chaos.marks GROUP BY run_id, step HAVING count(*) > 1"
    )


def overlapping(stack: Stack) -> list[list[str]]:
    """Runs that went on executing after their retry had begun."""
    return stack.sql(
        "SELECT a.run_id, b.run_id FROM chaos.marks AS a JOIN chaos.marks AS b USING (root_run_id)"
        " WHERE a.run_id <> b.run_id AND b.began > a.began AND b.began < a.ended"
    )


def incomplete(stack: Stack, ends: dict[str, str]) -> list[list[str]]:
    """Families of runs in which a step was never executed, although they ended well."""
    ended = [root for root, status in ends.items() if status == "SUCCESS"]
    listed = ", ".join(f"('{root}')" for root in ended)
    return stack.sql(
        f"SELECT root FROM (VALUES {listed}) AS ended (root)"
        " LEFT JOIN chaos.marks ON root_run_id = root"
        " GROUP BY root HAVING count(DISTINCT step) < 3"
    )

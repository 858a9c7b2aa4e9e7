"""What a location could write to Dagster's database does not decide what another one executes.

The superuser stands in for a location's role: these checks hold also when the rows were changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from harness import Stack, until
from runs import ONCE, Run, launch, runs_of, tagged
from standby_pool import handed_over, pool_is_full

MARK = "/var/lib/dagster/storage/attacked"
ATTACK = {
    "__class__": "CustomPointer",
    "reconstructor_pointer": {
        "__class__": "ModuleCodePointer",
        "fn_name": "system",
        "module": "os",
        "working_directory": None,
    },
    "reconstructable_args": [f"touch {MARK}"],
    "reconstructable_kwargs": [],
}

_SENSOR = """
mutation Sensor($selector: SensorSelector!) {
  startSensor(sensorSelector: $selector) {
    __typename ... on Sensor { id sensorState { id } } ... on PythonError { message }
  }
}"""
_STOP = """
mutation Stop($id: String!) { stopSensor(id: $id) { __typename } }"""
_TICKS = """
query Ticks($selector: SensorSelector!) {
  sensorOrError(sensorSelector: $selector) {
    ... on Sensor { sensorState { ticks(limit: 5) { status error { message } } } }
  }
}"""
_BACKFILLS = """
{ partitionBackfillsOrError { ... on PartitionBackfills { results { id } } } }"""
_RUN_IDS = """
{ runsOrError(limit: 50) { __typename ... on Runs { results { id status } } } }"""


@pytest.fixture
def unmarked(stack: Stack) -> Iterator[None]:
    """No attack has been executed, before and after."""
    look = ("exec", "-T", "analytics", "test", "!", "-e", MARK)
    stack.compose(*look)
    yield
    stack.compose(*look)


def ended(stack: Stack, location: str = "scenarios") -> Run:
    """A run that has ended and left no container: from here on, a row."""
    run = launch(stack, location, "tick_job", tags=ONCE)
    run.wait()
    container = run.container["Id"]
    stack.run("docker", "rm", "--force", container)
    return run


def body(stack: Stack, run: Run) -> str:
    """The body in the run's row, as JSON."""
    query = f"SELECT run_body FROM runs WHERE run_id = '{run.id}'"
    return stack.sql(query, "dagster")[0][0]


@pytest.fixture(scope="module")
def row(stack: Stack) -> tuple[Run, str]:
    """A run that has ended, and what stood in its row."""
    run = ended(stack)
    return run, body(stack, run)


def write(stack: Stack, run: Run, text: str, status: str) -> None:
    """Change the run's row, to that of one that has not ended if ``status`` says so."""
    # A run whose log holds an end has ended, whatever its row says.
    final = "'PIPELINE_SUCCESS', 'PIPELINE_FAILURE', 'PIPELINE_CANCELED'"
    stack.sql(
        f"DELETE FROM event_logs WHERE run_id = '{run.id}' AND dagster_event_type IN ({final})",
        "dagster",
    )
    stack.sql(
        f"UPDATE runs SET run_body = $body${text}$body$, status = '{status}'"
        f" WHERE run_id = '{run.id}'",
        "dagster",
    )


def containers_of(run: Run) -> set[str]:
    """Ids of the containers that bear the run's name; others come and go meanwhile."""
    name = f"name={run.stack.project}-run-{run.id}"
    return set(run.stack.run("docker", "ps", "-aq", "--no-trunc", "--filter", name).split())


@pytest.mark.parametrize(
    "what",
    ["code_pointer", pytest.param("executable_path", marks=pytest.mark.long), "container_image"],
)
def test_a_row_that_was_changed_starts_nothing(
    stack: Stack, unmarked: None, row: tuple[Run, str], what: str
) -> None:
    """Row B: a run of another location with code, interpreter or image of the attacker's."""
    run, original = row
    changed = json.loads(original)
    of_elt = f"{stack.project}/elt:live"
    values = {"code_pointer": ATTACK, "executable_path": "/bin/sh", "container_image": of_elt}
    words = {
        "code_pointer": "its code pointer is",
        "executable_path": "its interpreter is /bin/sh",
        "container_image": f"its image is {of_elt}",
    }
    changed["pipeline_code_origin"]["repository_origin"][what] = values[what]
    write(stack, run, json.dumps(changed), "QUEUED")
    before = containers_of(run)

    def refused() -> None:
        assert run.status == "FAILURE"

    until(refused, seconds=60)
    assert f"run {run.id}: {words[what]}" in run.text()
    assert containers_of(run) <= before
    # Not retried, and the next one goes as always.
    assert tagged(stack, {"dagster/parent_run_id": run.id}) == []
    launch(stack, "scenarios", "tick_job").wait()


def test_a_ticket_that_is_moved_executes_nothing(stack: Stack, unmarked: None) -> None:
    """Row C: the ticket of another location's worker on a run of the attacker's, every time."""
    own = ended(stack)
    executed = own.text().count("Started process for run")
    changed = json.loads(body(stack, own))
    changed["pipeline_code_origin"]["repository_origin"]["code_pointer"] = ATTACK
    write(stack, own, json.dumps(changed), "STARTING")
    pool_is_full(stack)
    stack.sql(
        f"""CREATE FUNCTION move_ticket() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.key = '.dagster/standby_ticket' THEN NEW.run_id := '{own.id}'; END IF;
        RETURN NEW; END $$;
        CREATE TRIGGER move_ticket BEFORE INSERT ON run_tags
        FOR EACH ROW EXECUTE FUNCTION move_ticket()""",
        "dagster",
    )
    try:
        run = launch(stack, "ready", "tick_job", tags=ONCE)
        # Its worker never begins; it is taken back after 20 s, and starts cold.
        run.wait(seconds=90)
    finally:
        stack.sql("DROP FUNCTION move_ticket() CASCADE", "dagster")
        write(stack, own, json.dumps(changed), "FAILURE")
    assert "Starting the run in container" in run.text()
    assert own.text().count("Started process for run") == executed
    pool_is_full(stack)
    again = launch(stack, "ready", "tick_job")
    again.wait()
    assert handed_over(again)


@pytest.mark.parametrize(
    "poison", ["{", pytest.param('{"__class__": "NoSuchClass"}', marks=pytest.mark.long)]
)
def test_a_row_that_cannot_be_read_holds_up_nobody(
    stack: Stack, row: tuple[Run, str], poison: str
) -> None:
    run, _ = row
    write(stack, run, poison, "QUEUED")
    launch(stack, "scenarios", "tick_job").wait()

    def failed() -> None:
        assert run.status == "FAILURE"

    until(failed, seconds=60)
    assert "cannot be read" in run.text()
    assert f"run {run.id}" in stack.compose("logs", "--tail=200", "daemon")


def test_the_runs_page_survives_it(stack: Stack, row: tuple[Run, str]) -> None:
    """A run that has ended is not failed again; it is shown as what could be read."""
    run, original = row
    write(stack, run, "{", "SUCCESS")
    try:
        found = stack.ask(_RUN_IDS)["runsOrError"]
        assert found["__typename"] == "Runs"
        assert {"id": run.id, "status": "SUCCESS"} in found["results"]
    finally:
        write(stack, run, original, "SUCCESS")


def selector(name: str) -> dict[str, str]:
    return {
        "repositoryLocationName": "scenarios",
        "repositoryName": "__repository__",
        "sensorName": name,
    }


@pytest.fixture
def sensor(stack: Stack, request: pytest.FixtureRequest) -> Iterator[str]:
    """A sensor that is on during the test."""
    name: str = request.param
    started = stack.ask(_SENSOR, selector=selector(name))["startSensor"]
    assert started["__typename"] == "Sensor", started
    yield name
    stack.ask(_STOP, id=started["sensorState"]["id"])


def last_tick(stack: Stack, name: str) -> dict[str, Any]:
    """The sensor's last tick, when it has ended."""

    def found() -> dict[str, Any]:
        state = stack.ask(_TICKS, selector=selector(name))["sensorOrError"]["sensorState"]
        done = [tick for tick in state["ticks"] if tick["status"] != "STARTED"]
        assert done
        last: dict[str, Any] = done[0]
        return last

    return until(found, seconds=90, every=1)


@pytest.mark.parametrize("sensor", ["reaching_sensor"], indirect=True)
def test_a_sensor_cannot_launch_elsewhere(stack: Stack, sensor: str) -> None:
    """Row G: a backfill of another location's asset."""
    before = stack.ask(_BACKFILLS)["partitionBackfillsOrError"]["results"]
    tick = last_tick(stack, sensor)
    assert tick["status"] == "FAILURE"
    assert (
        "asked for asset my_analytics_asset, which location analytics has"
        in (tick["error"]["message"])
    )
    assert stack.ask(_BACKFILLS)["partitionBackfillsOrError"]["results"] == before


@pytest.mark.parametrize("sensor", ["honest_sensor"], indirect=True)
def test_a_sensor_launches_its_own(stack: Stack, sensor: str) -> None:
    tick = last_tick(stack, sensor)
    assert tick["status"] == "SUCCESS", tick
    run = next(run for run in runs_of(stack, "tick_job") if "team" in run.tags)
    run.wait()
    assert run.tags["dagster/image"].startswith(f"{stack.project}/")

"""A code location comes and goes while everything else stays where it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from harness import Stack, until
from runs import Run, launch, runs_of

# An underscore is in no other host name that gRPC has to find.
NAME = "eu_sales"
JOB = f"refresh_{NAME}_job"
PASSWORD = f"/run/secrets/{NAME}_password"
ONE_SHOT = {"secrets", "migrate", "landing_zone", "workspace", "test_secrets", "test_migrate"}
SLOW = f"""
import time

import dagster as dg


@dg.op
def wait() -> None:
    time.sleep(600)


@dg.job
def {NAME}_slow_job() -> None:
    wait()
"""


@pytest.fixture(scope="module", autouse=True)
def repository(stack: Stack) -> Iterator[None]:
    """The copy of the project as a git repository; without the location at the end."""
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.invalid")
    stack.run("git", "init", "--quiet")
    stack.run("git", "add", "--all")
    stack.run("git", *identity, "commit", "--quiet", "--message", "as it is")
    yield
    stack.run("make", "location-remove", f"NAME={NAME}", "DELETE_DATA=1", "YES=1", check=False)
    shutil.rmtree(stack.folder / ".git")


def changed(stack: Stack) -> str:
    """What git says of the folder."""
    return stack.run("git", "status", "--porcelain", "--untracked-files=all")


def others(stack: Stack) -> dict[str, tuple[str, str]]:
    """Container and start of every service that goes on all the time, but for the location."""
    return {
        name: (each["Id"], each["State"]["StartedAt"])
        for name, each in stack.containers()
        if name not in ONE_SHOT | {NAME}
    }


def locations(stack: Stack) -> dict[str, str]:
    """Code locations as the UI lists them, and what they are."""
    answer = stack.ask(
        """{ workspaceOrError { ... on Workspace { locationEntries {
        name locationOrLoadError { __typename } } } } }"""
    )
    return {
        entry["name"]: entry["locationOrLoadError"]["__typename"]
        for entry in answer["workspaceOrError"]["locationEntries"]
    }


def days(stack: Stack) -> int:
    """Rows of the template's table."""
    return int(stack.sql(f"SELECT count(*) FROM {NAME}.days")[0][0])


def refused(stack: Stack, *arguments: str) -> str:
    """What a task says that ends with an error, in one line."""
    shown = stack.run("make", *arguments, check=False)
    assert len([line for line in shown.splitlines() if line.startswith("error:")]) == 1, shown
    assert "Traceback" not in shown
    return shown


@pytest.mark.long
def test_a_location_that_cannot_be_built_leaves_nothing(stack: Stack) -> None:
    before = others(stack)
    settings = stack.settings | {"PYTHON_IMAGE": "127.0.0.1:1/python:0"}
    other = Stack(stack.folder, project=stack.project, port=stack.port, settings=settings)
    refused(other, "location", f"NAME={NAME}")
    assert changed(stack) == ""
    assert NAME not in locations(stack)
    assert others(stack) == before


@pytest.mark.long
def test_a_subnet_that_another_network_has_leaves_nothing(stack: Stack) -> None:
    before = others(stack)
    taken = f"{stack.project}_taken"
    # The first one behind those of elt and analytics.
    subnet = f"--subnet={stack.subnets}.0.64/27"
    stack.run("docker", "network", "create", "--internal", subnet, taken)
    try:
        shown = refused(stack, "location", f"NAME={NAME}")
    finally:
        stack.run("docker", "network", "rm", taken)
    assert "another network on this engine has a subnet of RPC_SUBNETS. Fix: " in shown
    assert changed(stack) == ""
    assert NAME not in locations(stack)
    assert others(stack) == before


def test_it_is_live_and_nothing_else_was_touched(stack: Stack) -> None:
    before = others(stack)
    shown = stack.run("make", "location", f"NAME={NAME}")
    assert "LOADED" in shown
    assert f"{JOB}_schedule" in shown
    assert others(stack) == before
    assert locations(stack)[NAME] == "RepositoryLocation"


def test_its_job_runs_and_writes_where_only_it_may(stack: Stack) -> None:
    launch(stack, NAME, JOB).wait()
    assert days(stack) in {365, 366}
    owner = f"SELECT tableowner FROM pg_tables WHERE schemaname = '{NAME}'"
    assert stack.sql(owner) == [[NAME]]


def test_its_schedule_is_at_work(stack: Stack) -> None:
    known = f"SELECT count(*) FROM instigators WHERE instigator_body LIKE '%{JOB}_schedule%'"

    def known_to_the_daemon() -> None:
        assert stack.sql(known, "dagster") == [["1"]]

    until(known_to_the_daemon, seconds=90, every=1)
    status = json.loads(
        stack.compose(
            *("exec", "-T", "webserver", "control-plane", "status", "--json", "--only", NAME)
        )
    )
    (schedule,) = status["locations"][0]["schedules"]
    assert schedule["running"]
    assert schedule["next_tick"]


def test_plain_compose_finds_nothing_to_do(stack: Stack) -> None:
    before = others(stack) | {NAME: (stack.container(NAME), "")}
    stack.compose("up", "--detach", "--build", "--wait")
    assert others(stack) | {NAME: (stack.container(NAME), "")} == before


@pytest.fixture
def running(stack: Stack) -> Iterator[Run]:
    """A run of it that does not end by itself."""
    file = stack.folder / f"code_locations/{NAME}/src/{NAME}/defs/jobs/slow.py"
    file.write_text(SLOW)
    stack.compose("up", "--detach", "--build", "--wait", "--no-deps", NAME)

    def started() -> Run:
        found = runs_of(stack, f"{NAME}_slow_job")
        return found[0] if found else launch(stack, NAME, f"{NAME}_slow_job")

    run = until(started, seconds=60, every=1)
    run.wait("STARTED")
    yield run
    run.terminate()
    run.wait("CANCELED")


@pytest.mark.long
def test_it_stays_while_a_run_of_it_runs(stack: Stack, running: Run) -> None:
    before = changed(stack)
    shown = refused(stack, "location-remove", f"NAME={NAME}", "YES=1")
    assert running.id in shown
    assert "STARTED" in shown
    assert changed(stack) == before
    assert running.status == "STARTED"
    assert locations(stack)[NAME] == "RepositoryLocation"


@pytest.mark.long
def test_it_stays_while_a_run_of_it_waits(stack: Stack) -> None:
    stack.compose("stop", "daemon")
    try:
        run = launch(stack, NAME, JOB)
        shown = refused(stack, "location-remove", f"NAME={NAME}", "YES=1")
        assert run.id in shown
        assert "QUEUED" in shown
    finally:
        stack.compose("start", "daemon")
    run.wait()


@pytest.mark.long
def test_work_is_not_deleted_unasked(stack: Stack) -> None:
    shown = refused(stack, "location-remove", f"NAME={NAME}")
    assert "defs/jobs/slow.py" in shown
    assert "--yes" in shown
    assert (stack.folder / f"code_locations/{NAME}/src/{NAME}/defs/jobs/slow.py").exists()


def nothing_of_it_runs(stack: Stack, before: dict[str, tuple[str, str]]) -> None:
    """It left no file, no container and no image, and the others are as they were ``before``."""
    assert changed(stack) == ""
    assert NAME not in locations(stack)
    assert others(stack) == before
    for label in (f"com.docker.compose.service={NAME}", f"compose_run_launcher.location={NAME}"):
        project = f"label=com.docker.compose.project={stack.project}"
        if label.startswith("compose_run"):
            project = f"label=compose_run_launcher.project={stack.project}"
        listed = stack.run("docker", "ps", "-aq", "--filter", f"label={label}", "--filter", project)
        assert listed == ""
    assert stack.run("docker", "images", "-q", f"{stack.project}/{NAME}") == ""


@pytest.mark.long
def test_taken_out_it_leaves_its_data_and_nothing_else(stack: Stack) -> None:
    before = others(stack)
    password = stack.compose("exec", "-T", NAME, "cat", PASSWORD)
    stack.run("make", "location-remove", f"NAME={NAME}", "YES=1")
    nothing_of_it_runs(stack, before)
    assert days(stack) in {365, 366}
    stack.compose("up", "--detach", "--wait")
    assert others(stack) == before

    stack.run("make", "location", f"NAME={NAME}")
    assert stack.compose("exec", "-T", NAME, "cat", PASSWORD) == password
    launch(stack, NAME, JOB).wait()
    assert others(stack) == before


def test_taken_out_with_its_data_nothing_is_left(stack: Stack) -> None:
    before = others(stack)
    stack.run("make", "location-remove", f"NAME={NAME}", "DELETE_DATA=1")
    nothing_of_it_runs(stack, before)
    assert stack.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{NAME}'") == []
    assert stack.sql(f"SELECT 1 FROM pg_namespace WHERE nspname = '{NAME}'") == []
    assert f"{stack.project}_rpc_{NAME}" not in stack.run("docker", "network", "ls").split()
    names = stack.run("docker", "volume", "ls", "--format", "{{.Name}}").split()
    assert not [name for name in names if name.startswith(stack.project) and NAME in name]
    kept = stack.compose(
        *("run", "--rm", "-T", "--no-deps", "--entrypoint", "ls", "secrets"),
        *("/secrets/all", "/secrets/migrate"),
    )
    assert "elt_password" in kept
    assert NAME not in kept


def in_rpc_network(stack: Stack, location: str) -> set[str]:
    """Ids of the containers in a location's RPC network."""
    network = f"{stack.project}_rpc_{location}"
    found = json.loads(stack.run("docker", "network", "inspect", network))[0]
    return set(found["Containers"])


@pytest.mark.long
def test_fifty_more_on_an_engine_whose_address_pools_end_at_31(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but two begin with the stack, and share an image: to build one takes a minute."""
    names = [f"team_{number:02}" for number in range(50)]
    first, live = names[0], names[-2:]
    try:
        stack.run("make", "down")
        for name in names[:-2]:
            stack.run("make", "location", f"NAME={name}")
        with monkeypatch.context() as patched:
            patched.setitem(stack.settings, "COMPOSE_FILE", _in_one_image(stack, names[:-2]))
            # It waits a minute for their definitions, which two cores load one after the other.
            stack.run("make", "up", check=False)
            before = others(stack)
            for name in live:
                stack.run("make", "location", f"NAME={name}")
            until(lambda: _all_are_loaded(stack, names), seconds=240)
            control_plane = {stack.container(one) for one in ("webserver", "daemon", "workspace")}
            for name in names:
                assert in_rpc_network(stack, name) == {stack.container(name), *control_plane}
            # The others have the first one's code, and no right to its table.
            for name in (first, *live):
                launch(stack, name, f"refresh_{name}_job").wait(seconds=180)
            stack.run("make", "up")
            after = others(stack)
            assert {name: after[name] for name in before} == before
    finally:
        stack.run("make", "down")
        for name in names:
            shutil.rmtree(stack.folder / "code_locations" / name, ignore_errors=True)
        stack.copy_project()
        left = stack.run("docker", "volume", "ls", "--quiet", f"--filter=name={stack.project}_")
        gone = [volume for volume in left.split() if "_team_" in volume]
        stack.run("docker", "volume", "rm", *gone, check=False)
        stack.run("make", "up")
    assert not set(names) & set(locations(stack))


def _in_one_image(stack: Stack, names: list[str]) -> str:
    """COMPOSE_FILE with an addition: the first location's image, and code, is that of them all."""
    first, *rest = names
    services = "".join(
        f"  {name}:\n    build: !reset null\n    image: ${{COMPOSE_PROJECT_NAME}}/{first}:live\n"
        f'    environment: {{DAGSTER_IMAGE_REPOSITORY: "${{COMPOSE_PROJECT_NAME}}/{first}"}}\n'
        for name in rest
    )
    addition = stack.folder / "compose.fifty.yml"
    addition.write_text(f"services:\n{services}")
    return f"docker-compose.yml:{stack.additions}:{addition.name}"


def _all_are_loaded(stack: Stack, names: list[str]) -> None:
    found = locations(stack)
    assert set(names) <= set(found)
    assert set(found.values()) == {"RepositoryLocation"}

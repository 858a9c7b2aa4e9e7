"""`make doctor` names faults that are made for real, and its archive holds no secret."""

from __future__ import annotations

import base64
import json
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import quote_plus

import pytest

from harness import Stack, until

# What begins with this is a secret that the tests have planted.
MARK = "planted/Secret+7f3a9c"
SCHEDULE = "regenerate_analytics_job_schedule"
POOL = "closed_by_the_doctor_test"
START_SENSOR = """
mutation Start($selector: SensorSelector!) {
  startSensor(sensorSelector: $selector) { ... on Sensor { sensorState { id } } }
}"""
STOP_SENSOR = "mutation Stop($id: String!) { stopSensor(id: $id) { __typename } }"
SENSOR_STATE = """
query State($selector: SensorSelector!) {
  sensorOrError(sensorSelector: $selector) { ... on Sensor { sensorState { id status } } }
}"""
START_SCHEDULE = """
mutation Start($selector: ScheduleSelector!) {
  startSchedule(scheduleSelector: $selector) { ... on ScheduleStateResult { scheduleState { id } } }
}"""
STOP_SCHEDULE = "mutation Stop($id: String!) { stopRunningSchedule(id: $id) { __typename } }"
SET_LIMIT = "mutation S($key: String!) { setConcurrencyLimit(concurrencyKey: $key, limit: 0) }"
DELETE_LIMIT = "mutation D($key: String!) { deleteConcurrencyLimit(concurrencyKey: $key) }"
# What careless code prints: a secret that it was given, in three spellings, and two of its own.
PRINT = """
echo before-the-secrets
cat /run/secrets/elt_password; echo
base64 /run/secrets/elt_password
printf 'user:%s' "$(cat /run/secrets/elt_password)" | base64
echo "connect to postgresql://elt:$OWN_VARIABLE@postgres/warehouse"
echo "$OWN_VARIABLE" | base64
echo after-the-secrets
sleep 3600
"""


def selector(location: str, **more: str) -> dict[str, str]:
    """Of a schedule or sensor."""
    return {"repositoryLocationName": location, "repositoryName": "__repository__", **more}


SENSOR = selector("scenarios", sensorName="refusing_sensor")


def stop_sensor(stack: Stack) -> None:
    """Stop it, once more where that was lost.

    A daemon that begins a tick writes the state that it read before (Dagster 1.13.27,
    mark_sensor_state_for_tick): a stop in between is undone.
    """
    found = stack.ask(SENSOR_STATE, selector=SENSOR)["sensorOrError"]["sensorState"]
    if found["status"] == "RUNNING":
        stack.ask(STOP_SENSOR, id=found["id"])


@contextmanager
def failing_sensor(stack: Stack) -> Iterator[None]:
    """A sensor that fails at each tick."""
    stack.ask(START_SENSOR, selector=SENSOR)
    try:
        yield
    finally:
        stop_sensor(stack)


@contextmanager
def stopped_schedule(stack: Stack) -> Iterator[None]:
    """A schedule that somebody has stopped."""
    chosen = selector("analytics", scheduleName=SCHEDULE)
    started = stack.ask(START_SCHEDULE, selector=chosen)["startSchedule"]
    stack.ask(STOP_SCHEDULE, id=started["scheduleState"]["id"])
    try:
        yield
    finally:
        stack.ask(START_SCHEDULE, selector=chosen)


@contextmanager
def closed_pool(stack: Stack) -> Iterator[None]:
    """A pool with the limit 0."""
    stack.ask(SET_LIMIT, key=POOL)
    try:
        yield
    finally:
        stack.ask(DELETE_LIMIT, key=POOL)


@contextmanager
def stopped_service(stack: Stack) -> Iterator[None]:
    """A service that is not running, and whose absence hurts nobody for a minute."""
    stack.compose("stop", "rpc_networks")
    try:
        yield
    finally:
        stack.compose("start", "rpc_networks")


@contextmanager
def talkative_container(stack: Stack) -> Iterator[None]:
    """A container by hand, with a secret in its environment and others in its log."""
    made = stack.run(
        *("docker", "compose", "run", "--detach", "--no-deps", "--entrypoint=sh"),
        *(f"--env=OWN_VARIABLE={MARK}-environment", "elt", "-c", PRINT),
    ).split()[-1]
    try:

        def has_printed() -> None:
            assert "after-the-secrets" in stack.run("docker", "logs", made)

        until(has_printed, seconds=30)
        yield
    finally:
        stack.run("docker", "rm", "--force", made)


@contextmanager
def settings(stack: Stack) -> Iterator[None]:
    """Settings with a typing error, a secret, a password in a URL, a netrc file for others."""
    file, netrc = stack.folder / ".env", stack.folder / "netrc"
    before = file.read_text() if file.exists() else None
    netrc.write_text(f"machine mirror.example.com login me password {MARK}-netrc\n")
    netrc.chmod(0o644)
    file.write_text(
        f"{before or ''}WEBSERVER_PROT=3001\nOWN_TOKEN={MARK}-setting\nNETRC={netrc}\n"
        f"OWN_URL=https://me:{quote_plus(MARK)}-url@example.com/\n"
    )
    try:
        yield
    finally:
        netrc.unlink()
        if before is None:
            file.unlink()
        else:
            file.write_text(before)


def doctor(stack: Stack, *options: str) -> dict[str, list[str]]:
    """What is wrong, by check."""
    shown = stack.run("deploy/stackctl/stackctl", "doctor", "--json", *options, check=False)
    begin = shown.index("{\n")
    found: dict[str, Any] = json.JSONDecoder().raw_decode(shown[begin:])[0]
    return {
        one["check"]: [
            each["evidence"] for each in one["findings"] if each["level"] in {"warning", "error"}
        ]
        for one in found["checks"]
    }


def archive(stack: Stack) -> dict[str, str]:
    """The files of the newest archive."""
    newest = max((stack.folder / ".artifacts").glob("support-*.tar.gz"))
    with tarfile.open(newest) as packed:
        found = {
            member.name.partition("/")[2]: file.read().decode()
            for member in packed
            if (file := packed.extractfile(member))
        }
    newest.unlink()
    return found


@pytest.fixture(scope="module")
def faults(stack: Stack) -> Iterator[tuple[dict[str, list[str]], dict[str, str], str]]:
    """What doctor finds and collects while all faults are there, and what status says."""
    with ExitStack() as made:
        for fault in (failing_sensor, stopped_schedule, closed_pool, talkative_container):
            made.enter_context(fault(stack))

        def status() -> str:
            shown = stack.run("make", "status")
            assert "refusing_sensor" in shown
            return shown

        shown = until(status, seconds=90, every=2)
        made.enter_context(stopped_service(stack))
        made.enter_context(settings(stack))
        found = doctor(stack, "--bundle")
        collected = archive(stack)
    yield found, collected, shown


Faults = tuple[dict[str, list[str]], dict[str, str], str]


def test_status_shows_what_fails_to_tick(faults: Faults) -> None:
    [line] = [one for one in faults[2].splitlines() if "refusing_sensor" in one]
    assert "sensor refusing_sensor (scenarios) fails since 20" in line
    assert line.strip().endswith("ValueError: the partner says no")


@pytest.mark.parametrize(
    ("check", "evidence"),
    [
        ("ticks", "sensor refusing_sensor (scenarios) fails since"),
        ("stopped schedules", f"schedule {SCHEDULE} (analytics) is stopped"),
        ("pools", f"pool {POOL} has the limit 0"),
        ("services", "rpc_networks is exited"),
        ("strangers", "was made by docker compose run of elt"),
        ("unknown settings", "WEBSERVER_PROT in .env is unknown: is WEBSERVER_PORT meant?"),
        ("secret files", "(NETRC) has mode 644"),
        ("settings without effect", "NETRC has no effect"),
    ],
)
def test_doctor_names_each_fault(faults: Faults, check: str, evidence: str) -> None:
    assert any(evidence in one for one in faults[0][check]), faults[0]


def test_the_archive_has_what_helps(faults: Faults) -> None:
    files = faults[1]
    assert {"doctor.json", "inspect.json", "compose-config.json", "state.json", "ps.txt"} <= {
        *files
    }
    assert "refusing_sensor" in files["state.json"]
    [log] = [text for name, text in files.items() if "-elt-run-" in name]
    assert "before-the-secrets" in log and "after-the-secrets" in log
    assert "OWN_TOKEN=[removed]" in files["settings.txt"]


def test_no_secret_is_in_the_archive(stack: Stack, faults: Faults) -> None:
    own = stack.run("docker", "exec", stack.container("elt"), "cat", "/run/secrets/elt_password")
    planted = [f"{MARK}-{place}" for place in ("environment", "setting", "netrc", "url")]
    everything = "\n".join([*faults[1].values(), *faults[1]])
    for secret in [own.strip(), MARK, *planted]:
        raw = secret.encode()
        for written in (
            secret,
            quote_plus(secret),
            raw.hex(),
            base64.b64encode(raw).decode().rstrip("=")[:-1],
            base64.b64encode(b"user:" + raw).decode()[8:-4],
        ):
            assert written not in everything, written


def test_once_repaired_nothing_of_it_is_left(stack: Stack, faults: Faults) -> None:
    def is_well() -> None:
        stop_sensor(stack)
        found = doctor(stack)
        left = {name: set(found[name]) & set(faults[0][name]) for name in found}
        for name in (
            "ticks",
            "stopped schedules",
            "pools",
            "services",
            "strangers",
            "secret files",
        ):
            assert not left[name], left[name]

    until(is_well, seconds=90, every=1)
    assert "refusing_sensor" not in stack.run("make", "status")

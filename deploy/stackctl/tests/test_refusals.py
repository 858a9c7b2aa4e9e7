"""What a command says, and with which exit code, when the engine or a release says no.

Docker and the control plane are stand-ins here that give the answers of real ones.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stackctl import control_plane, gate, lock, retention
from stackctl.build import build, kept, pull
from stackctl.docker import DockerError
from stackctl.errors import FAILED, LOCKED, REFUSED, StackctlError
from stackctl.records import Record
from stackctl.service import Container, Service, content_of
from stackctl.stack import Stack

LOCATION = {"labels": {"compose_run_launcher.role": "code-location"}}
STACK = Stack(
    {
        "name": "s",
        "services": {
            "webserver": {"networks": {"rpc": None}},
            "daemon": {"image": "s/control-plane:live"},
            "elt": {"image": "s/elt:live", "networks": {"rpc": None, "core": None}} | LOCATION,
            "sales": {"image": "s/sales:live"} | LOCATION,
            "alone": {"image": "s/alone:live", "networks": {"core": None}},
        },
        "networks": {
            "rpc": {"name": "s_rpc", "labels": {"compose_run_launcher.network": "rpc"}},
            "core": {"name": "s_core"},
        },
    }
)
REPORT: dict[str, Any] = {
    "control_plane": "1.13.27",
    "candidate": {
        "image": "s/elt:new",
        "dagster": "1.13.27",
        "definitions": {"asset": {"orders": {}}},
        "variables": {},
    },
    "live": None,
    "clashes": [],
    "silent": [],
}


def container(name: str, address: str) -> Container:
    networks = {"s_rpc": {"IPAddress": address}, "s_core": {"IPAddress": "10.9.9.9"}}
    return Container(name, name, f"sha256:{name}", "running", 1, "", networks, (), "")


CANDIDATE = container("new", "10.0.0.2")


# What the engine would say: a container's command runs here, where its `entrypoint` is a stand-in.
DOCKER = """#!/bin/sh
echo "$*" >>"$ASKED"
case "$*" in
"compose ps "*) echo webserver-1 ;;
"exec webserver-1 timeout --kill-after=5 "*) shift 5; exec "$@" ;;
"container wait new") eval "$END" ;;
"container logs "*) printf '%s' "$LOG" >&2 ;;
"container inspect new") echo "[{\\"State\\": $STATE}]" ;;
*) echo "unknown: $*" >&2; exit 1 ;;
esac
"""
ENTRYPOINT = '#!/bin/sh\neval "$COMPARE"\n'


def shell(script: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(["sh", "-c", script], stdin=pipe, stdout=pipe, stderr=pipe, text=True)


Examine = Callable[..., dict[str, Any]]


@pytest.fixture
def examine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Examine:
    """Examines a candidate: what `compare` does, how its container ends, and what it is like."""
    for name, script in (("docker", DOCKER), ("entrypoint", ENTRYPOINT)):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    asked = tmp_path / "asked"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    monkeypatch.setenv("ASKED", str(asked))

    def run(
        compare: str = f"echo '{json.dumps(REPORT)}'",
        end: str = "exec sleep 60",
        log: str = "",
        state: dict[str, Any] | None = None,
        live: Container | None = None,
        location: str = "elt",
        seconds: float = 5,
    ) -> dict[str, Any]:
        said = {"COMPARE": compare, "END": end, "LOG": log, "STATE": json.dumps(state or {})}
        for name, value in said.items():
            monkeypatch.setenv(name, value)
        service = Service(STACK, location)
        monkeypatch.setattr(Service, "serving", lambda _: live)
        report = gate.examine(service, control_plane.ControlPlane(STACK), CANDIDATE, seconds, False)
        [command] = [line for line in asked.read_text().splitlines() if line.startswith("exec ")]
        return report | {"asked": command.partition(" control-plane ")[2].split()}

    return run


def refusal(examine: Examine, **how: Any) -> str:
    """What the gate says against it."""
    with pytest.raises(gate.Refused) as refused:
        examine(**how)
    assert refused.value.exit_code == REFUSED
    said = str(refused.value)
    assert said.startswith("the gate refuses this release: ")
    assert "\n" not in said
    return said


def test_a_release_that_has_nothing_against_it_passes(examine: Examine) -> None:
    passed = examine(live=container("live", "10.0.0.1"))
    assert passed["candidate"] == REPORT["candidate"]
    # Each by its address in the network that it shares with the webserver.
    assert passed["asked"] == [
        "compare",
        "10.0.0.2:4000",
        "--live=10.0.0.1:4000",
        "--other=sales:4000",
        "--seconds=5",
    ]


def test_a_report_of_any_size_is_read(examine: Examine, tmp_path: Path) -> None:
    names = {f"asset_{n}": {"code_version": "0123456789ab"} for n in range(5_000)}
    release = REPORT["candidate"] | {"definitions": {"asset": names}}
    report = tmp_path / "report"
    # A pipe holds 64 KiB.
    report.write_text(json.dumps(REPORT | {"candidate": release}))
    assert report.stat().st_size > 200_000
    passed = examine(compare=f"cat {report}")
    assert len(passed["candidate"]["definitions"]["asset"]) == 5_000


def test_while_nothing_serves_there_is_nothing_to_compare_with(examine: Examine) -> None:
    assert examine()["asked"] == ["compare", "10.0.0.2:4000", "--other=sales:4000", "--seconds=5"]


@pytest.mark.parametrize(
    ("code", "log", "words"),
    [
        (1, "ModuleNotFoundError: No module named no_such_module\n", "named no_such_module"),
        (137, "Started\n", "exit code 137: Started"),
        (78, "entrypoint: X_FILE: cannot read /run/secrets/x\n", "cannot read /run/secrets/x"),
        (3, "", "exit code 3: it has written no log"),
    ],
)
def test_one_that_ends_says_why(examine: Examine, code: int, log: str, words: str) -> None:
    said = refusal(examine, compare="exec sleep 60", end=f"echo {code}", log=log)
    assert f"its code server ended with exit code {code}: " in said
    assert words in said


def test_one_that_runs_out_of_memory(examine: Examine) -> None:
    killed = {"OOMKilled": True}
    said = refusal(examine, compare="exec sleep 60", end="echo 137", log="Started", state=killed)
    assert said.endswith("exit code 137: it ran out of memory")


@pytest.mark.parametrize(
    "words",
    [
        "it did not serve within 5 s: it is not reachable",
        "its code does not load: no flux capacitor",
        "the control plane does not understand its definitions: x",
    ],
)
def test_what_the_control_plane_says_of_it_is_said(examine: Examine, words: str) -> None:
    said = refusal(examine, compare=f"echo 'error: {words}' >&2; exit 1")
    assert said == f"the gate refuses this release: {words}"


def test_one_of_which_nothing_is_heard(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    # Half a minute more than the control plane was given, so that it can say so itself.
    monkeypatch.setattr(gate, "_REPORT_S", 0.1)
    said = refusal(examine, compare="exec sleep 60", seconds=0.1)
    assert "no response within 0.2 s" in said


def test_one_that_serves_and_is_unhealthy(examine: Examine) -> None:
    said = refusal(examine, state={"Health": {"Status": "unhealthy"}}, seconds=0.01)
    assert "Docker's probe of it is unhealthy" in said


def test_one_that_the_webserver_cannot_reach(examine: Examine) -> None:
    with pytest.raises(StackctlError, match="alone is in no RPC network"):
        examine(location="alone")


def test_the_first_of_several_objections_is_said(examine: Examine) -> None:
    release = REPORT["candidate"] | {"definitions": {}, "image": None}
    report = json.dumps(REPORT | {"candidate": release})
    said = refusal(examine, compare=f"echo '{report}'")
    assert "defines no asset, job, schedule or sensor" in said
    assert "image" not in said


def test_a_build_that_fails_shows_the_end_of_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: str, **__: Any) -> str:
        raise DockerError("docker compose", "\n".join(f"line {n}" for n in range(1, 41)))

    monkeypatch.setattr("stackctl.build.docker", fails)
    with pytest.raises(StackctlError, match="the build failed; what serves was not") as refused:
        build(Service(STACK, "elt"))
    assert refused.value.exit_code == FAILED
    lines = str(refused.value).splitlines()
    assert lines[1:] == [f"  line {n}" for n in range(26, 41)]


def test_the_image_of_another_location_is_not_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = {"org.opencontainers.image.title": "analytics"}
    found = [{"Id": "sha256:x", "Config": {"Labels": labels}}]
    monkeypatch.setattr("stackctl.build.inspect", lambda *_: found)
    with pytest.raises(StackctlError, match=r"r/analytics:1 is not one of elt: .*'analytics'"):
        pull(Service(STACK, "elt"), "r/analytics:1")
    assert pull(Service(STACK, "analytics"), "r/analytics:1") == "sha256:x"


def test_a_release_that_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackctl.build.inspect", lambda *_: [])
    with pytest.raises(
        StackctlError, match=r"'old' of elt is not kept.*make releases LOCATION=elt"
    ):
        kept(Service(STACK, "elt"), "old")


def test_a_control_plane_that_is_down_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_plane, "docker", lambda *_: "")
    with pytest.raises(StackctlError, match=r"the webserver of stack s is not running.*make up"):
        control_plane.ControlPlane(STACK)


def test_a_lock_that_somebody_holds_says_who_and_since_when(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = 'the container name "/s-lock-elt" is already in use'
    monkeypatch.setattr(lock, "begin", lambda *_: shell(f"echo '{taken}' >&2; exit 125"))
    removed: list[str] = []
    monkeypatch.setattr(lock, "remove_container", removed.append)

    def holder(status: str, seconds_ago: int) -> None:
        found = {
            "Created": (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat(),
            "State": {"Status": status},
            "Config": {"Labels": {"stackctl.holder": '["ann@host", "10:00:00 UTC"]'}},
        }
        monkeypatch.setattr(lock, "inspect", lambda *_: [found])

    holder("running", 60)
    with pytest.raises(lock.Held) as refused, lock.lock(STACK, "elt", 0):
        pass
    assert refused.value.exit_code == LOCKED
    assert str(refused.value).startswith(
        "elt is being changed by ann@host since 10:00:00 UTC. Fix: "
    )
    # One whose holder was killed before it began is cleared away, for the next try.
    for age in (2, 60):
        assert removed == []
        holder("created", age)
        with pytest.raises(lock.Held), lock.lock(STACK, "elt", 0):
            pass
    assert removed == ["s-lock-elt"]


def test_a_lock_that_the_engine_cannot_make_is_no_lock_of_somebody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lock, "begin", lambda *_: shell("echo 'no space left' >&2; exit 125"))
    with pytest.raises(DockerError, match="no space left"), lock.lock(STACK, "elt", 0):
        pass


DAY = "2026-01-0"


def image(digest: str, tagged: str, *names: str) -> dict[str, Any]:
    return {
        "Id": digest,
        "Size": 7,
        "Metadata": {"LastTagTime": tagged},
        "RepoTags": list(names),
        "RootFS": {"Layers": [digest]},
        "Config": {},
    }


def test_releases_are_the_lasting_names_of_images_the_latest_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = [
        image(
            "sha256:a", f"{DAY}1T00:00:00Z", "s/elt:a", "s/elt:live", "s/elt:next", "other/elt:z"
        ),
        image("sha256:b", f"{DAY}2T00:00:00Z", "s/elt:b"),
        image("sha256:c", f"{DAY}3T00:00:00Z", "s/elt:c"),
    ]
    monkeypatch.setattr(retention, "docker", lambda *_: "s/elt:a s/elt:b s/elt:c")
    monkeypatch.setattr(retention, "inspect", lambda *_: images)
    # a went live last, by a rollback; c was brought live by Compose alone.
    records = [
        Record("a", "2026-01-01", "ann", "1", "deploy"),
        Record("b", "2026-01-02", "ann", "2", "deploy"),
        Record("a", "2026-01-09", "ann", "1", "rollback"),
    ]
    found = retention.releases(Service(STACK, "elt"), records, None)
    assert [(one.release, one.when) for one in found] == [
        ("a", "2026-01-09"),
        ("c", "2026-01-03T00:00:00+00:00"),
        ("b", "2026-01-02"),
    ]
    assert [one.record and one.record.how for one in found] == ["rollback", None, "deploy"]
    assert [(one.content, one.size) for one in found][1] == (content_of(images[2]), 7)


def test_an_image_that_a_container_has_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def remove(*arguments: str) -> str:
        if arguments[-1] == "s/elt:b":
            raise DockerError("docker image", "image is being used by stopped container 1")
        return ""

    monkeypatch.setattr(retention, "docker", remove)
    going = [retention.Release(name, "", 0, "", None) for name in "abc"]
    assert retention.prune(Service(STACK, "elt"), going) == ["a", "c"]


@pytest.mark.parametrize(("config", "kept"), [({}, 5), ({"x-releases": {"keep": "2"}}, 2)])
def test_how_many_are_kept_is_a_setting(config: dict[str, Any], kept: int) -> None:
    assert retention.to_keep(Service(Stack(STACK.config | config), "elt")) == kept

"""What an upgrade refuses, what it tries on, and what it says; tests/stack/upgrade has the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackctl.docker import ROOT
from stackctl.errors import StackctlError
from stackctl.stack import Stack
from stackctl.upgrade import images, preflight, report, schema, switch, trial, versions
from stackctl.upgrade.copy_config import copy_config, needed
from stackctl.upgrade.trial import Findings, Tried
from stackctl.upgrade.versions import Versions

NOW = Versions("1.13.26", "1.13.27", "17.6", "17.6", ("s/control-plane:live", "s/migrate:live"))


def test_the_version_of_this_checkout_is_read_from_its_lock_file(tmp_path: Path) -> None:
    pinned = (ROOT / "deploy/control_plane/pyproject.toml").read_text()
    assert f'"dagster=={versions.locked(ROOT / versions.LOCK)}"' in pinned
    (tmp_path / "uv.lock").write_text('[[package]]\nname = "other"\n')
    with pytest.raises(StackctlError, match=r"names no version of dagster"):
        versions.locked(tmp_path / "uv.lock")


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("latest", "TO is 'latest': not a version. Fix: such as TO=1.13.27"),
        ("1.13.28", "TO is 1.13.28, and this checkout has Dagster 1.13.27 .* Fix: "),
    ],
)
def test_to_is_what_the_checkout_has(to: str, words: str) -> None:
    versions.check_asked("", "1.13.27")
    versions.check_asked("1.13.27", "1.13.27")
    with pytest.raises(StackctlError, match=words):
        versions.check_asked(to, "1.13.27")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Versions("1.13.27", "1.13.26", "17.6", "17.6"), "the older 1.13.26. Fix: .*upgrade-back"),
        (Versions("1.13.9", "1.13.10", "17.6", "18.0"), "another major version .* image of 17 in"),
        (Versions("1.13.9", "1.13.10", "17.10", "17.9"), "the newer 17.10 runs. Fix: an image"),
    ],
)
def test_only_forwards_within_a_major_version_of_postgres(found: Versions, words: str) -> None:
    versions.check_direction(NOW)
    with pytest.raises(StackctlError, match=words):
        versions.check_direction(found)


def test_nothing_to_do_where_neither_images_nor_postgres_differ() -> None:
    assert not NOW.is_current
    assert Versions("1.13.27", "1.13.27", "17.6", "17.6").is_current
    assert not Versions("1.13.27", "1.13.27", "17.6", "17.7").is_current


def test_the_version_of_postgres() -> None:
    said = "postgres (PostgreSQL) 17.6 (Debian 17.6-1.pgdg13+1)\n"
    assert versions.postgres_version(said) == "17.6"
    with pytest.raises(StackctlError, match=r"does not say its version: 'bash"):
        versions.postgres_version("bash: postgres: not found")


def test_services_that_are_not_well_are_named() -> None:
    services = {"web": {"restart": "unless-stopped"}, "once": {}}
    running = {"State": {"Status": "running", "Health": {"Status": "healthy"}}}
    done = {"State": {"Status": "exited", "ExitCode": 0}}
    preflight.check_well(services, {"web": running, "once": done})
    failed = {"State": {"Status": "exited", "ExitCode": 1}}
    with pytest.raises(StackctlError, match=r"well: web is not there, once is exited. Fix: make d"):
        preflight.check_well(services, {"once": failed})
    sick = {"State": {"Status": "running", "Health": {"Status": "unhealthy"}}}
    with pytest.raises(StackctlError, match=r"well: web is unhealthy. Fix: make doctor"):
        preflight.check_well(services, {"web": sick, "once": done})


def test_a_backup_service_and_room_are_needed() -> None:
    preflight.check_backups({"backup": {}})
    with pytest.raises(StackctlError, match=r"Fix: add backup to COMPOSE_PROFILES in .env"):
        preflight.check_backups({})
    preflight.check_room(10**9, 4 * 10**9)
    with pytest.raises(StackctlError, match=r"has 3.9 GB free, .* may take 4.0 GB. Fix: make room"):
        preflight.check_room(10**9, 39 * 10**8)


def test_a_range_of_addresses_that_nobody_has() -> None:
    assert trial.free_range(["172.17.0.0/16", "fd00::/64"]) == "198.18"
    assert trial.free_range(["198.18.0.32/27"]) == "198.19"
    assert trial.free_range(["198.18.0.32/27"], "10.77") == "10.77"
    with pytest.raises(StackctlError, match=r"addresses of 198.18 and 198.19, .* TRIAL_SUBNETS=10"):
        trial.free_range(["198.18.0.0/27", "198.19.0.0/27"])
    with pytest.raises(StackctlError, match=r"addresses of 10.77, "):
        trial.free_range(["10.0.0.0/8"], "10.77")
    with pytest.raises(StackctlError, match=r"TRIAL_SUBNETS is 'x': not two numbers"):
        trial.free_range([], "x")


def service(**more: Any) -> dict[str, Any]:
    return {"image": "c/control-plane:live", "networks": {"control": None}} | more


LOCATION: dict[str, Any] = service(
    image="c/elt:live",
    labels={"compose_run_launcher.role": "code-location"},
    depends_on={
        "migrate": {"condition": "service_completed_successfully"},
        "landing_zone": {"condition": "service_completed_successfully", "required": False},
    },
    networks={"core": {"aliases": ["x"]}, "outside": None, "company": None},
    ports=["80:80"],
    extra_hosts=["api:10.0.0.1"],
    volumes=[
        {"type": "volume", "source": "storage", "target": "/s"},
        {"type": "volume", "source": "everyones", "target": "/e"},
        {"type": "bind", "source": "/srv", "target": "/srv"},
        {"type": "tmpfs", "target": "/t"},
    ],
)
CONFIG: dict[str, Any] = {
    "name": "c",
    "services": {
        "postgres": service(image="postgres:17", networks={"core": None, "control": None}),
        "migrate": service(depends_on={"postgres": {"condition": "service_healthy"}}),
        "elt": LOCATION,
        "landing_zone": service(image="c/elt:live"),
        "docker_gateway": service(
            network_mode="none",
            networks={},
            volumes=[{"type": "bind", "source": "/var/run/docker.sock", "target": "/d"}],
        ),
        "rpc_networks": service(),
        "workspace": service(networks={"web": None}),
        "webserver": service(networks={"web": None}, build={"context": "."}),
        "daemon": service(command=["daemon"], healthcheck={"test": ["x"]}),
        "web_gateway": service(ports=["3000"], networks={"web": None}),
        "alerts": service(networks={"outside": None}),
    },
    "networks": {
        "core": {"name": "c_core", "internal": True},
        "control": {"name": "c_control"},
        "web": {"name": "c_web"},
        "outside": {"name": "c_outside", "ipam": {}},
        "company": {"name": "company", "external": True},
    },
    "volumes": {"storage": {"name": "c_storage"}, "everyones": {"name": "shared"}},
}


def test_the_copy_is_cut_off() -> None:
    found = copy_config(CONFIG, ["elt"], {"elt": "c/elt:now", "c/control-plane:live": "sha256:1"})
    services, elt = found["services"], found["services"]["elt"]
    assert services.keys() == CONFIG["services"].keys() - {"landing_zone", "web_gateway", "alerts"}
    assert all(network["internal"] for network in found["networks"].values())
    assert found["networks"].keys() == {"core", "control", "web", "outside"}
    assert elt["networks"].keys() == {"core", "outside"}
    assert not {"ports", "extra_hosts"} & elt.keys()
    read_only = [mount.get("read_only", False) for mount in elt["volumes"]]
    assert read_only == [False, True, True, False]
    assert elt["depends_on"].keys() == {"migrate"}
    assert "read_only" not in services["docker_gateway"]["volumes"][0]
    # No daemon: what is restored stays queued, and nothing is scheduled.
    assert services["daemon"]["command"] == ["sleep", "infinity"]
    assert services["webserver"]["image"] == "sha256:1" and "build" not in services["webserver"]
    assert elt["image"] == "c/elt:now"
    assert services["postgres"]["image"] == "postgres:17"
    # The stack's own is as it was.
    assert CONFIG["services"]["elt"] is LOCATION and "ports" in LOCATION


def test_a_location_in_the_hosts_network_cannot_be_cut_off() -> None:
    services = CONFIG["services"] | {"elt": LOCATION | {"network_mode": "host"}}
    with pytest.raises(StackctlError, match=r"elt has network_mode 'host', .* Fix: give it net"):
        copy_config(CONFIG | {"services": services}, ["elt"], {})


def test_what_a_service_needs_is_what_it_cannot_start_without() -> None:
    assert needed(CONFIG, ["elt"]) == ["postgres", "migrate", "elt"]


def test_images_are_built_beside_those_that_run() -> None:
    build = {"context": "/r", "target": "migrate"}
    services = CONFIG["services"] | {"migrate": service(image="c/migrate:live", build=build)}
    stack = Stack(CONFIG | {"services": services, "secrets": {"netrc": {"file": "/n"}}})
    own = images.own_services(stack)
    assert "elt" not in own and "landing_zone" not in own
    found = images.to_build(stack.config, own)
    assert found["services"]["migrate"] == {"image": "c/migrate:next", "build": build}
    assert found["services"].keys() == {"migrate", "webserver"}
    assert found["secrets"] == stack.config["secrets"]
    assert images.former_name("h:5000/c/migrate:live") == "h:5000/c/migrate:before-upgrade"


def test_what_others_need_is_exchanged_before_them() -> None:
    # By code locations, too.
    assert images.needed_by_others(Stack(CONFIG)) == ["postgres", "migrate"]
    gateway = {"docker_gateway": {"condition": "service_healthy"}}
    more = {"webserver": service(depends_on={"migrate": {}} | gateway)}
    found = images.needed_by_others(Stack(CONFIG | {"services": CONFIG["services"] | more}))
    assert set(found) == {"postgres", "migrate", "docker_gateway"}
    assert found.index("postgres") < found.index("migrate")


def test_what_a_migration_changes() -> None:
    before, after = frozenset({"column runs.a text", "revision 1"}), frozenset({"revision 2"})
    assert schema.changes(before, before) == []
    found = schema.changes(before, after)
    assert found == ["adds revision 2", "removes column runs.a text", "removes revision 1"]


WORKS = Tried("elt", "1.13.26", True, "", "SUCCESS", "a_job")
BROKEN = Tried("old", "1.9.0", True, "cannot deserialize")
NEVER = Tried("never", "1.13.26", False, "no module")
FAILS = Tried("fails", "1.13.26", True, "", "FAILURE", "b_job", "ImportError: x")


def test_the_report_says_which_location_works_and_which_does_not() -> None:
    findings = Findings(2.31, [], [WORKS, BROKEN, NEVER, FAILS], 61.0)
    text = "\n".join(report.report(NOW, findings, "20261127T092058Z", []))
    assert "Dagster   1.13.26 to 1.13.27\nPostgres  17.6, as before\n" in text
    assert "Images    control-plane, migrate\n" in text
    assert "took 2.3 s on the copy, and changes no table: the way back keeps all data" in text
    assert "  elt (Dagster 1.13.26): loads, and a run of a_job succeeded\n" in text
    assert "  old (Dagster 1.9.0): DOES NOT LOAD any more\n      cannot deserialize\n" in text
    assert "never (Dagster 1.13.26): DOES NOT LOAD, nor does it now\n" in text
    assert "a run of b_job DID NOT SUCCEED (FAILURE)\n      ImportError: x\n" in text


def test_the_report_says_what_the_way_back_costs() -> None:
    findings = Findings(2.31, ["adds column runs.x text"], [WORKS], 61.0)
    text = "\n".join(report.report(NOW, findings, "b", ["webserver"]))
    assert "the way back restores the state before the switch" in text
    assert "adds column runs.x text" in text
    assert "changes webserver, too; the way back needs the former checkout" in text


def test_a_location_that_worked_must_work_unless_it_is_accepted() -> None:
    findings = Findings(1, [], [WORKS, BROKEN, NEVER, FAILS])
    assert report.objections(findings, []) == ["old", "fails"]
    assert report.objections(findings, ["old", "fails"]) == []


def state(**more: Any) -> dict[str, Any]:
    """As the control plane says it, a minute after the epoch."""
    location = {"name": "elt", "loading": False, "error": None}
    daemon = {"daemonType": "SENSOR", "required": True, "healthy": True, "lastHeartbeatTime": 60.0}
    status = {"version": "1.13.27", "locations": [location | more]}
    return {"status": status, "daemons": [daemon]}


def test_what_is_verified_after_the_switch() -> None:
    served = {"elt": "s/elt:1"}

    def problems(found: dict[str, Any], since: float = 0, version: str = "1.13.27") -> list[str]:
        return switch.problems(found, served, version, ["elt"], since)

    assert problems(state()) == []
    assert problems(state(), since=61) == ["no heartbeat of SENSOR since the switch"]
    assert problems(state(), version="1.13.28") == [
        "the webserver is of Dagster 1.13.27, not 1.13.28"
    ]
    [found] = problems(state(error="no\nmodule"))
    assert found == "elt is not loaded by the webserver: no module"
    [found] = problems(state(loading=True))
    assert "has not loaded" in found
    served["elt"] = None  # type: ignore[assignment]
    assert problems(state()) == ["elt is not loaded by the daemon"]

"""Each check of `make doctor`: what it finds, and that it finds nothing where nothing is wrong."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from stackctl.docker import ROOT
from stackctl.doctor import (
    backups,
    configuration,
    dagster,
    machine,
    network,
    report,
    services,
    settings_file,
)
from stackctl.doctor.facts import Facts, SecretFile
from stackctl.doctor.finding import (
    CHECKS,
    Check,
    Finding,
    Level,
    NotApplicableError,
    Result,
    error,
    ok,
    run,
    warning,
)
from stackctl.errors import StackctlError

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def levels(found: Iterable[Finding]) -> list[str]:
    """Of all findings."""
    return [one.level.name for one in found]


def problem(found: Iterable[Finding]) -> Finding:
    """The only one; it says what mends it."""
    [one] = found
    assert one.level >= Level.WARNING
    assert one.fix
    return one


# ---- how checks are made ------------------------------------------------------------------------


def test_a_check_that_fails_hinders_no_other() -> None:
    def refuses(_: Facts) -> list[Finding]:
        raise StackctlError("the webserver is not running. Fix: make up")

    def has_nothing(_: Facts) -> list[Finding]:
        raise NotApplicableError("no proxy is set")

    def is_broken(_: Facts) -> list[Finding]:
        raise KeyError("Name")

    looks = {"a": refuses, "b": has_nothing, "c": is_broken, "d": lambda _: [ok("fine")]}
    checks = [Check(name, "Machine", look, frozenset({"docker"})) for name, look in looks.items()]
    results = list(run(Facts("docker"), checks))
    assert [one.level.name for one in results] == ["SKIPPED", "SKIPPED", "WARNING", "OK"]
    assert results[0].findings == (
        Finding(Level.SKIPPED, "the webserver is not running.", "make up"),
    )
    assert "KeyError" in results[2].findings[0].evidence


def test_a_check_is_made_in_its_modes_alone() -> None:
    docker = {one.name for one in CHECKS if "docker" in one.modes}
    embedded = {one.name for one in CHECKS if "embedded" in one.modes}
    assert {"engine", "drift", "images"} <= docker - embedded
    assert embedded - docker == {"processes"}
    assert {"ticks", "pools", "unknown settings", "disk"} <= embedded & docker


def test_the_page_has_a_line_for_each_check() -> None:
    page = (ROOT / "docs" / "doctor.md").read_text()
    listed = {line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")}
    assert {one.name for one in CHECKS} <= listed


def test_the_report_counts_and_says_what_mends(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    results = [
        Result("a", "Machine", (ok("x [b]"),)),
        Result("b", "Machine", (warning("w", "mend w"), error("e", "mend e"))),
        Result("c", "Dagster", (Finding(Level.SKIPPED, "no engine"),)),
    ]
    report.show(Console(width=100), results)
    shown = capsys.readouterr().out
    assert "x [b]" in shown and "Fix: mend w" in shown and "Fix: mend e" in shown
    assert "not checked: no engine" in shown
    assert "1 error, 1 warning, 1 check well, 1 not made" in shown
    assert results[1].level is Level.ERROR
    assert results[1].to_json()["findings"][1] == {
        "level": "error",
        "evidence": "e",
        "fix": "mend e",
    }


def doctor(tmp_path: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The command, where docker is only what a test made."""
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), **more}
    program = Path(shutil.which("stackctl") or "stackctl")
    return subprocess.run(
        [str(program), "doctor", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs the docker command")
def test_without_an_engine_it_says_so_and_checks_the_rest(tmp_path: Path) -> None:
    done = doctor(tmp_path, "--json", DOCKER_HOST="unix:///nowhere.sock", COMPOSE_PROFILES="nope")
    assert done.returncode == 1, done.stderr
    checks = {one["check"]: one for one in json.loads(done.stdout)["checks"]}
    assert checks["engine"]["level"] == "error"
    assert "no Docker Engine answers" in checks["engine"]["findings"][0]["evidence"]
    for name in ("ports", "services", "drift", "ticks", "connections", "certificate"):
        assert checks[name]["level"] == "skipped", checks[name]
    assert checks["disk"]["level"] != "skipped"
    assert checks["compose file"]["level"] == "ok"
    assert "names nope" in checks["settings without effect"]["findings"][0]["evidence"]


def test_without_a_docker_command_it_names_both_ways(tmp_path: Path) -> None:
    # Other programs, and no docker.
    for name in ("bash", "dirname", "awk", "sed", "head", "uname"):
        if found := shutil.which(name):
            (tmp_path / name).symlink_to(found)
    done = doctor(tmp_path, PATH=str(tmp_path))
    assert done.returncode == 1, done.stderr
    assert "there is no docker command here" in done.stdout
    assert "'make dev'" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_mode_that_does_not_exist(tmp_path: Path) -> None:
    done = doctor(tmp_path, MODE="swarm")
    assert done.returncode == 2
    assert "MODE is 'swarm'. Fix: MODE=embedded or MODE=docker" in done.stderr


# ---- machine ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("free_gb", "level"), [(60, "OK"), (9, "WARNING"), (20, "WARNING"), (1, "ERROR"), (5, "ERROR")]
)
def test_disk(free_gb: float, level: str) -> None:
    total = 50 if free_gb in {9, 1} else 250
    assert levels([machine.room("data", free_gb * 1e9, total * 1e9)]) == [level]


@pytest.mark.parametrize(("free_gib", "level"), [(4, "OK"), (1.2, "WARNING"), (0.5, "WARNING")])
def test_memory(free_gib: float, level: str) -> None:
    text = f"MemTotal: {16 * 2**20} kB\nMemAvailable: {int(free_gib * 2**20)} kB\n"
    assert levels([machine.memory_left(text)]) == [level]


@pytest.mark.parametrize(
    ("theirs", "level"), [(100.3, "OK"), (99.0, "OK"), (104.0, "WARNING"), (40.0, "ERROR")]
)
def test_clock(theirs: float, level: str) -> None:
    assert levels([machine.drift("Postgres", 100.0, theirs, 100.5)]) == [level]


def test_build_cache() -> None:
    assert machine._bytes("10.83GB") == 10.83e9
    assert machine._bytes("0B") == 0
    assert levels([machine.cache(30e9, 3e9), machine.cache(30e9, 25e9)]) == ["OK", "WARNING"]


@pytest.mark.parametrize(("days", "level"), [(100, "OK"), (5, "WARNING")])
def test_a_certificate_ends(days: int, level: str) -> None:
    assert levels([machine.validity(NOW + timedelta(days=days), NOW)]) == [level]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize("days", [3, -1])
def test_the_end_of_a_certificate_that_is_shown(tmp_path: Path, days: int) -> None:
    """Self-signed; one that has ended is refused with that reason."""
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-subj", "/CN=ui", "-keyout", str(key), "-out", str(certificate)]
    end = datetime.now(UTC) + timedelta(days=days)
    begin = end - timedelta(days=30)
    dates = ["-not_before", f"{begin:%Y%m%d%H%M%SZ}", "-not_after", f"{end:%Y%m%d%H%M%SZ}"]
    made = subprocess.run([*command, *dates], capture_output=True, check=False)
    if made.returncode:
        if days < 0:
            pytest.skip("this openssl sets no dates")
        subprocess.run([*command, "-days", str(days)], capture_output=True, check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        serving = Thread(target=serve, daemon=True)
        serving.start()
        address = ("127.0.0.1", server.getsockname()[1])
        if days < 0:
            with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
                machine.certificate_end(address)
        else:
            assert abs(machine.certificate_end(address) - end) < timedelta(minutes=5)
        serving.join(5)


def test_the_port_of_the_embedded_mode() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1])
        assert "is taken" in machine.embedded_port(port, runs=False).evidence
        assert machine.embedded_port(port, runs=True).level is Level.OK
    assert machine.embedded_port(port, runs=False).level is Level.OK
    assert "nothing answers" in machine.embedded_port(port, runs=True).evidence
    assert "not a port number" in machine.embedded_port("80x", runs=False).evidence


def test_the_setting_of_a_port() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    assert machine._setting_of(compose, "3000", "web_gateway") == "WEBSERVER_PORT"
    assert machine._setting_of(compose, "5433", "warehouse_port") == "WAREHOUSE_PORT"
    assert machine._setting_of(compose, "8", "postgres") == "the port 8"


# ---- network ------------------------------------------------------------------------------------

ROUTES = """Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
tun0\t000012C6\t00000000\t0001\t0\t0\t0\t0000FEFF\t0\t0\t0
"""


def test_a_route_of_a_vpn_overlaps() -> None:
    routes = network.read_routes(ROUTES)
    assert routes == [IPv4Network("198.18.0.0/15")]
    own = {"s_rpc_elt": IPv4Network("198.18.0.0/27")}
    found = problem(network.overlaps(own, routes, {}))
    assert "198.18.0.0/27, and this machine a route to 198.18.0.0/15" in found.evidence
    assert "RPC_SUBNETS" in found.fix
    assert "network t_rpc" in problem(network.overlaps(own, [], {"t_rpc": routes[0]})).evidence
    assert not list(network.overlaps({"a": IPv4Network("10.1.0.0/24")}, routes, {}))


@pytest.mark.parametrize(("used", "level"), [(11, "OK"), (29, "WARNING"), (31, "WARNING")])
def test_address_pools(used: int, level: str) -> None:
    assert levels([network.pools_left(used)]) == [level]


def test_hosts_outside_are_those_of_settings() -> None:
    env = {
        "USERS_API_URL": "https://api.example.com/users",
        "LANDING_ZONE_ENDPOINT": "http://object-store:8333",
        "SSO_ISSUER": "http://10.0.0.7/",
        "UV_DEFAULT_INDEX": "https://user:secret@mirror.example.com/simple",
    }
    assert network.outside_hosts(env) == {
        "USERS_API_URL": "api.example.com",
        "UV_DEFAULT_INDEX": "mirror.example.com",
    }


class Machine(Facts):
    """Facts with settings alone."""

    def __init__(self, **env: str) -> None:
        super().__init__("embedded")
        self.env = env


def test_a_proxy_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert levels(network.proxy(Machine(HTTP_PROXY=f"http://127.0.0.1:{port}"))) == ["OK"]
        [scheme, reached] = network.proxy(Machine(HTTPS_PROXY=f"127.0.0.1:{port}"))
        assert "has no scheme" in scheme.evidence and reached.level is Level.OK
    url = f"http://me:planted@127.0.0.1:{port}"
    found = problem(network.proxy(Machine(HTTP_PROXY=url)))
    assert "cannot be reached" in found.evidence
    assert "planted" not in found.evidence + found.fix
    with pytest.raises(NotApplicableError):
        list(network.proxy(Machine()))


# ---- configuration ------------------------------------------------------------------------------


def test_settings_are_read_as_compose_does() -> None:
    text = "# a\nA=1 # one\nB='x # y'\nexport C=\"z\"\n\nD=\nE = f#g\n"
    assert settings_file.read(text) == [
        ("A", "1"),
        ("B", "x # y"),
        ("C", "z"),
        ("D", ""),
        ("E", "f#g"),
    ]


def test_all_settings_of_the_example_are_known() -> None:
    known = settings_file.names((ROOT / ".env.example").read_text())
    assert {"WEBSERVER_PORT", "RPC_SUBNETS", "DOCKER_SOCKET"} <= known
    assert set(configuration.NEEDS) <= known
    used = settings_file.used((ROOT / "docker-compose.yml").read_text())
    assert {"WEBSERVER_PORT", "HTTP_PROXY", "ELT_IMAGE"} <= used


def test_an_unknown_setting_is_named_without_its_value() -> None:
    known = {"WEBSERVER_PORT", "WEB_BIND"}
    found = problem(configuration.unknown(["WEBSERVER_PROT", "COMPOSE_FILE"], known))
    assert "WEBSERVER_PROT in .env is unknown: is WEBSERVER_PORT meant?" in found.evidence
    assert "2 times" in problem(configuration.unknown(["WEB_BIND"] * 2, known)).evidence
    assert not list(configuration.unknown(["WEB_BIND", "WEBSERVER_PORT"], known))


@pytest.mark.parametrize(
    ("env", "needed"),
    [
        ({"WAREHOUSE_PORT": "5433"}, "COMPOSE_PROFILES=warehouse"),
        ({"SSO_ISSUER": "https://x", "COMPOSE_PROFILES": "viewers"}, "viewers,sso"),
        ({"WEB_TRUSTED_PROXIES": "host"}, "WEB_HOSTS"),
        ({"NO_PROXY": "a"}, "HTTP_PROXY"),
        ({"LANDING_ZONE": "file:///x", "LANDING_ZONE_REGION": "eu"}, "a folder has neither"),
        ({"USERS_API_PAGE_PARAM": "p"}, "USERS_API_PAGINATION"),
    ],
)
def test_a_setting_without_effect(env: dict[str, str], needed: str) -> None:
    assert needed in problem(configuration.idle(env)).evidence


def test_settings_with_an_effect() -> None:
    env = {"COMPOSE_PROFILES": "warehouse,sso", "WAREHOUSE_PORT": "1", "SSO_ISSUER": "https://x"}
    assert not list(configuration.idle(env))
    assert not list(configuration.unknown_profiles("viewers,*", {"viewers"}))
    assert "names vewers" in problem(configuration.unknown_profiles("vewers", {"viewers"})).evidence


def test_the_shell_wins_over_the_file() -> None:
    found = problem(configuration.overridden({"A": "planted"}, {"A": "other", "B": "1"}))
    assert "A has another value in this shell" in found.evidence
    assert "planted" not in found.evidence
    assert not list(configuration.overridden({"A": "1"}, {"A": "1"}))


def test_modes_of_secret_files(tmp_path: Path) -> None:
    files = [SecretFile("a", 0o400, ""), SecretFile("b", 0o440, ""), SecretFile("c", 0o644, "")]
    found = configuration.modes("elt", files)
    assert levels(found) == ["OK", "OK", "WARNING"]
    assert "c in elt has mode 644" in found[2].evidence
    netrc = tmp_path / "netrc"
    netrc.touch(0o644)
    assert "chmod 600" in configuration._mode(netrc, "NETRC").fix
    netrc.chmod(0o600)
    assert configuration._mode(netrc, "NETRC").level is Level.OK


# ---- services -----------------------------------------------------------------------------------


def container(**state: Any) -> dict[str, Any]:
    """As `docker inspect` has it."""
    labels = {"com.docker.compose.service": "elt", "com.docker.compose.config-hash": "h"}
    return {
        "Id": "0" * 64,
        "Name": "/s-elt-1",
        "Image": "sha256:" + "1" * 64,
        "RestartCount": state.pop("restarts", 0),
        "State": {"Running": True, "Status": "running", "ExitCode": 0, **state},
        "Config": {"Labels": labels | state.pop("labels", {})},
        "HostConfig": {"RestartPolicy": {"Name": state.pop("policy", "unless-stopped")}},
    }


STOPPED = {"Running": False, "Status": "exited"}


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        ([], "ERROR", "no container"),
        ([container(**STOPPED, ExitCode=137)], "ERROR", "exited, exit code 137"),
        ([container(**STOPPED)], "ERROR", "exited, exit code 0"),
        ([container(Status="restarting", ExitCode=1)], "ERROR", "again and again"),
        ([container(Paused=True, Status="paused")], "ERROR", "is paused"),
        ([container(Health={"Status": "unhealthy"})], "ERROR", "is unhealthy"),
        ([container(Health={"Status": "starting"})], "WARNING", "is starting"),
        ([container(restarts=3)], "WARNING", "restarted 3 times"),
    ],
)
def test_a_service_that_is_not_well(found: list[Any], level: str, words: str) -> None:
    one = problem(services.service_state("elt", found))
    assert (one.level.name, words in one.evidence) == (level, True)


def test_services_that_are_well() -> None:
    assert not list(services.service_state("elt", [container(Health={"Status": "healthy"})]))
    # One that does its work and ends; and a switch, with one container about to end.
    assert not list(services.service_state("migrate", [container(**STOPPED, policy="no")]))
    assert not list(services.service_state("elt", [container(**STOPPED), container()]))


def test_drift() -> None:
    one = container()
    contents = {one["Image"]: "c1", "s/elt:live": "c1", "s/elt:new": "c2"}

    def found(wanted: str = "h", image: str = "s/elt:live", **more: str) -> list[Finding]:
        return list(services.differences("elt", one, wanted, image, more or contents))

    assert not found()
    assert "other settings" in problem(found(wanted="other")).evidence
    assert "another image by now" in problem(found(image="s/elt:new")).evidence
    assert "is gone from the engine" in problem(found(unrelated="c")).evidence


def test_containers_that_nobody_asked_for() -> None:
    by_hand = container(labels={"com.docker.compose.oneoff": "True"})
    assert (
        "docker compose run of elt" in problem(services.extra([by_hand], {"elt"}, {"elt"})).evidence
    )
    assert "does not have" in problem(services.extra([container()], {"x"}, {"x"})).evidence
    assert "profile" in problem(services.extra([container()], {"elt"}, set())).evidence
    assert not list(services.extra([container()], {"elt"}, {"elt"}))
    a_run = container(
        labels={"compose_run_launcher.project": "s", "com.docker.compose.oneoff": "True"}
    )
    assert not list(services.extra([a_run], {"elt"}, {"elt"}))


def test_images_that_are_gone() -> None:
    found = problem(services.missing_releases("elt", ["a", "b"], {"a"}, {"b": "c0ffee"}))
    assert "cannot be rolled back to b (commit c0ffee)" in found.evidence
    runs = [
        {"id": "1", "location": "elt", "status": "QUEUED", "image": "s/elt:a"},
        {"id": "2", "location": "elt", "status": "QUEUED", "image": "s/elt:b"},
    ]
    assert "run 2 of elt" in problem(services.without_image(runs, {"s/elt:a"})).evidence


def test_processes_of_the_embedded_mode() -> None:
    alive = {"name": "daemon", "pid": os.getpid(), "due": None, "restarts": 0}
    assert not list(services.dead([alive]))
    assert "2 times" in problem(services.dead([alive | {"restarts": 2}])).evidence
    assert "waits for its restart" in problem(services.dead([alive | {"due": 1.0}])).evidence


def test_backups() -> None:
    def listed(*days_ago: float, **status: Any) -> dict[str, Any]:
        ended = [{"ended": (NOW - timedelta(days=days)).isoformat()} for days in days_ago]
        return {"backups": ended, "status": status}

    assert levels(backups.results(listed(0.5, 1.5), NOW)) == ["OK"]
    assert levels(backups.results(listed(6, 13), NOW)) == ["OK"]
    assert "newest backup is of 2026-11-24" in problem(backups.results(listed(3, 4), NOW)).evidence
    assert "no backup yet" in problem(backups.results(listed(), NOW)).evidence
    bad = {"time": NOW.isoformat(), "error": "disk full"}
    failed = backups.results(listed(0.5, last_failure=bad), NOW)
    assert "failed: disk full" in problem(failed).evidence
    later = {"ended": (NOW + timedelta(hours=1)).isoformat()}
    assert levels(backups.results(listed(0.5, last_failure=bad, last_success=later), NOW)) == ["OK"]
    trial = {"ok": False, "backup": "7", "error": "checksum"}
    tried = backups.results(listed(0.5, rehearsal=trial), NOW)
    assert "backup 7 could not be restored on trial: checksum" in problem(tried).evidence
    failing = {"failure": {"since": "2026-11-27T01:30:00+00:00", "error": "no route"}}
    copied = problem(backups.results(listed(0.5, offsite=failing), NOW))
    assert "not copied elsewhere since 2026-11-27T01:30: no route" in copied.evidence
    damaged = {"failure": None, "check": {"error": "pack 12 is damaged"}}
    checked = problem(backups.results(listed(0.5, offsite=damaged), NOW))
    assert "check of the copies elsewhere failed: pack 12" in checked.evidence


# ---- Dagster ------------------------------------------------------------------------------------


def state(**more: Any) -> dict[str, Any]:
    """As `control-plane state` prints it."""
    instigator = {"kind": "schedule", "name": "nightly", "location": "elt"}
    daemon = {"daemonType": "SCHEDULER", "required": True, "lastHeartbeatErrors": []}
    return {
        "time": NOW.isoformat(),
        "status": {"locations": [{"name": "elt", "error": None, "loading": False}]},
        "instigators": [instigator | {"running": True, "runs_by_default": True}],
        "failing": [],
        "daemons": [daemon | {"lastHeartbeatTime": NOW.timestamp() - 20}],
        "pools": [{"concurrencyKey": "warehouse", "limit": 1, "pendingStepCount": 0}],
        "default_pool_limit": 1,
        **more,
    }


ALL = (dagster.locations, dagster.failing, dagster.stopped, dagster.closed, dagster.heartbeats)


@pytest.mark.parametrize("look", ALL)
def test_a_dagster_that_is_well(look: Any) -> None:
    assert levels(look(state())) == ["OK"]


def test_a_location_that_does_not_load() -> None:
    broken = {"name": "elt", "error": "ModuleNotFoundError: x", "loading": False}
    found = problem(dagster.locations(state(status={"locations": [broken]})))
    assert "elt does not load: ModuleNotFoundError: x" in found.evidence
    assert "SERVICE=elt" in found.fix


def test_what_fails_to_tick_and_since_when() -> None:
    failing = {"kind": "sensor", "name": "files", "location": "elt", "error": "ValueError: boom"}
    found = problem(
        dagster.failing(state(failing=[failing | {"since": "2026-11-27 10:05:00+00:00"}]))
    )
    assert "sensor files (elt) fails since 2026-11-27 10:05 UTC: ValueError: boom" in found.evidence


def test_a_schedule_that_somebody_stopped() -> None:
    [one] = state()["instigators"]
    found = problem(dagster.stopped(state(instigators=[one | {"running": False}])))
    assert "schedule nightly (elt) is stopped" in found.evidence
    never = one | {"running": False, "runs_by_default": False}
    assert levels(dagster.stopped(state(instigators=[never]))) == ["OK"]


def test_a_pool_without_room() -> None:
    [one] = state()["pools"]
    found = problem(dagster.closed(state(pools=[one | {"limit": 0, "pendingStepCount": 3}])))
    assert "pool warehouse has the limit 0: 3 steps wait" in found.evidence
    assert "by default" in problem(dagster.closed(state(default_pool_limit=0))).evidence


def test_a_daemon_that_is_silent_or_complains() -> None:
    [one] = state()["daemons"]
    silent = one | {"lastHeartbeatTime": NOW.timestamp() - 600}
    assert (
        "no sign of life for 10 min"
        in problem(dagster.heartbeats(state(daemons=[silent]))).evidence
    )
    never = one | {"lastHeartbeatTime": None}
    assert "since it was set up" in problem(dagster.heartbeats(state(daemons=[never]))).evidence
    complains = one | {"lastHeartbeatErrors": [{"message": "x\nOSError: disk\n"}]}
    assert (
        "reports: OSError: disk" in problem(dagster.heartbeats(state(daemons=[complains]))).evidence
    )


def test_connections() -> None:
    assert levels(dagster.used_up(300, [("elt", 60, 5), ("dagster", -1, 9)])) == ["OK"]
    assert "role elt uses 55 of its 60" in problem(dagster.used_up(300, [("elt", 60, 55)])).evidence
    assert "250 of 300" in problem(dagster.used_up(300, [("dagster", -1, 250)])).evidence

"""Checks of the machine and its engine."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stackctl.docker import docker
from stackctl.doctor.facts import Facts
from stackctl.doctor.finding import (
    BOTH,
    Finding,
    NotApplicableError,
    check,
    error,
    ok,
    warning,
)
from stackctl.errors import StackctlError
from stackctl.mode import DOCKER

GROUP = "Machine"
GB = 1e9
_PORT = re.compile(r"\$\{(\w*PORT)\b")
_SIZE = re.compile(r"([\d.]+)\s*([kMGT]?)B")
_UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_CACHE_GB = 20
_DRIFT_S = 2.0
_DRIFT_LARGE_S = 30.0
_CERTIFICATE_DAYS = 21
_MEMORY_SHARE = 0.1


def refused(facts: Facts, *command: str) -> Iterator[Finding]:
    """An error where `make up` would refuse to start."""
    try:
        facts.preflight(*command)
    except StackctlError as why:
        evidence, _, fix = str(why).partition(" Fix: ")
        yield error(evidence, fix or "see what docker says")


@check("engine", GROUP)
def engine(facts: Facts) -> Iterator[Finding]:
    """Docker Engine answers, and it and Compose are new enough."""
    yield from (problems := list(refused(facts, "need_engine")))
    if not problems:
        compose = docker("compose", "version", "--short").strip()
        yield ok(f"Docker Engine {facts.info['ServerVersion']}, Compose {compose}")


@check("ports", GROUP, BOTH)
def ports(facts: Facts) -> Iterator[Finding]:
    """Nothing else listens on a port that the stack publishes."""
    if facts.mode != DOCKER:
        yield embedded_port(facts.env.get("WEBSERVER_PORT") or "3000", bool(facts.processes))
        return
    facts.info  # noqa: B018  # an engine knows whether the stack itself listens
    for service, settings in facts.stack.config["services"].items():
        for port in settings.get("ports") or []:
            published = str(port.get("published", ""))
            setting = _setting_of(facts.compose_text, published, service)
            problems = list(refused(facts, "check_port", service, setting, "another"))
            yield from problems or [ok(f"{published} for {service}")]


def embedded_port(port: str, runs: bool) -> Finding:
    """Whether the embedded mode has, or could have, the UI's port."""
    try:
        socket.create_connection(("127.0.0.1", int(port)), timeout=5).close()
    except ValueError:
        return error(f"WEBSERVER_PORT is {port}: not a port number", "a number in .env")
    except OSError:
        if runs:
            return error(f"nothing answers on port {port}", "make logs SERVICE=webserver")
        return ok(f"{port} is free")
    if runs:
        return ok(f"{port} for the UI")
    return error(f"port {port} is taken", "another WEBSERVER_PORT in .env, or stop what listens")


def _setting_of(compose: str, published: str, service: str) -> str:
    """The setting of a service's port; the service's block in the file names it."""
    block = re.search(rf"^  {re.escape(service)}:\n((?:    .*\n|\n)*)", compose, re.MULTILINE)
    found = _PORT.search(block[1]) if block else None
    return found[1] if found else f"the port {published}"


@check("base images", GROUP)
def base_images(facts: Facts) -> Iterator[Finding]:
    """Images that are built from, or run as they are, are on the engine."""
    facts.info  # noqa: B018
    missing = facts.preflight("missing_base_images").split()
    for name in missing:
        yield warning(
            f"{name} is not on this engine, and is needed for a build or a start",
            f"docker pull {name}; without a registry: make base-images, or a mirror in .env",
        )
    if not missing:
        yield ok("all are on this engine")


@check("disk", GROUP, BOTH)
def disk(facts: Facts) -> Iterator[Finding]:
    """Room where the engine, Postgres and this checkout write."""
    places = {"this checkout": facts.root}
    if facts.mode == DOCKER:
        try:
            if facts.is_local:
                places["the engine's data"] = Path(str(facts.info["DockerRootDir"]))
        except NotApplicableError:
            pass
    for name, path in places.items():
        usage = shutil.disk_usage(path)
        yield room(f"{name} ({path})", usage.free, usage.total)
    if facts.mode == DOCKER:
        try:
            line = facts.inside("postgres", "df", "-Pk", "/var/lib/postgresql/data")
        except (NotApplicableError, StackctlError):
            return
        total_kib, _, free_kib = map(int, line.splitlines()[-1].split()[1:4])
        yield room("Postgres' data", free_kib * 1024, total_kib * 1024)


def room(name: str, free: float, total: float) -> Finding:
    """Whether a file system has room; bytes."""
    share = free / total if total else 0
    evidence = f"{name}: {free / GB:.1f} GB of {total / GB:.0f} GB free"
    fix = "make room: docker builder prune, docker image prune; docker system df shows what is used"
    if share < 0.03 or free < 2 * GB:
        return error(evidence, fix)
    if share < 0.1 or free < 10 * GB:
        return warning(evidence, fix)
    return ok(evidence)


@check("build cache", GROUP)
def build_cache(facts: Facts) -> Iterator[Finding]:
    """What builds have left behind can be large."""
    facts.info  # noqa: B018
    # `docker system df` also adds up volumes, and takes a minute on a busy engine.
    lines = docker("buildx", "du", seconds=60).splitlines()
    sums = dict(line.split(":", 1) for line in lines if line.startswith(("Total", "Reclaimable")))
    yield cache(*(_bytes(sums.get(key, "")) for key in ("Total", "Reclaimable")))


def cache(used: float, free: float) -> Finding:
    """Whether the build cache is large; bytes."""
    evidence = f"{used / GB:.1f} GB, of which {free / GB:.1f} GB can go"
    if free > _CACHE_GB * GB:
        return warning(evidence, "docker builder prune --filter until=168h")
    return ok(evidence)


def _bytes(text: str) -> float:
    match = _SIZE.search(text)
    return float(match[1]) * _UNITS[match[2]] if match else 0.0


@check("memory", GROUP, BOTH)
def memory(facts: Facts) -> Iterator[Finding]:
    """Memory that is left, and containers that had too little."""
    file = Path("/proc/meminfo")
    if file.exists():
        yield memory_left(file.read_text())
    if facts.mode != DOCKER:
        return
    for one in facts.containers:
        if one["State"].get("OOMKilled"):
            service = one["Config"]["Labels"].get("com.docker.compose.service", one["Name"])
            limit = one["HostConfig"].get("Memory", 0) / 2**20
            yield error(
                f"{service} was killed because it used its {limit:.0f} MiB",
                f"raise its memory in .env ({service.upper()}_MEMORY), then make up",
            )


def memory_left(meminfo: str) -> Finding:
    """What /proc/meminfo says."""
    kib = {line.split(":")[0]: int(line.split()[1]) for line in meminfo.splitlines() if ":" in line}
    free, total = kib["MemAvailable"] * 1024, kib["MemTotal"] * 1024
    evidence = f"{free / 2**30:.1f} GiB of {total / 2**30:.1f} GiB available"
    if free < _MEMORY_SHARE * total or free < 2**30:
        return warning(
            evidence + "; no standby worker starts below 10 %",
            "STANDBY_WORKERS=0 in .env saves 100 MB per location; or fewer runs at once"
            " (max_concurrent_runs in dagster.yaml); then make up",
        )
    return ok(evidence)


@check("clock", GROUP)
def clock(facts: Facts) -> Iterator[Finding]:
    """This machine, the engine and Postgres agree about the time."""
    before = time.time()
    stated = docker("info", "--format", "{{.SystemTime}}", seconds=30).strip()
    facts.info  # noqa: B018
    theirs = datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", stated)).timestamp()
    yield drift("the engine", before, theirs, time.time())
    before = time.time()
    [[seconds]] = facts.query("SELECT extract(epoch FROM clock_timestamp())")
    yield drift("Postgres", before, float(seconds), time.time())


def drift(name: str, before: float, theirs: float, after: float) -> Finding:
    """How far another clock is from ours, which was read before and after."""
    away = max(before - theirs, theirs - after, 0.0)
    evidence = f"{name} is {away:.1f} s away from this machine's clock"
    fix = "set the clock by NTP (timedatectl set-ntp true); Docker Desktop: restart it"
    if away > _DRIFT_LARGE_S:
        return error(evidence + "; schedules tick at the wrong time", fix)
    if away > _DRIFT_S:
        return warning(evidence, fix)
    return ok(evidence)


@check("certificate", GROUP)
def certificate(facts: Facts) -> Iterator[Finding]:
    """How long the certificate that the web gateway shows is valid."""
    facts.running("web_gateway")
    [port, *_] = facts.stack.config["services"]["web_gateway"]["ports"]
    host = str(port.get("host_ip") or "127.0.0.1")
    if host in {"0.0.0.0", "::"}:  # noqa: S104
        host = "127.0.0.1"
    address = (host, int(port["published"]))
    try:
        with socket.create_connection(address, timeout=5):
            pass
    except OSError as problem:
        yield error(
            f"the UI does not answer at {host}:{address[1]}: {problem}",
            "make logs SERVICE=web_gateway",
        )
        return
    try:
        end = certificate_end(address)
    except ssl.SSLCertVerificationError as problem:
        yield error(f"the certificate is invalid: {problem.verify_message}", _RENEW)
        return
    except (ssl.SSLError, OSError):
        yield ok("plain HTTP on loopback, without a certificate")
        return
    yield validity(end, datetime.now(UTC))


_RENEW = "renew it (docs/web-gateway.md, docs/secrets.md), then make up"


def certificate_end(address: tuple[str, int]) -> datetime:
    """When the certificate at an address ends. It is its own authority here: a self-signed one
    is as good as any.
    """
    shown = ssl.get_server_certificate(address, timeout=5)
    context = ssl.create_default_context(cadata=shown)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    with (
        socket.create_connection(address, timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=address[0]) as secured,
    ):
        held: Mapping[str, Any] = secured.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(held["notAfter"])), UTC)


def validity(end: datetime, now: datetime) -> Finding:
    """Whether a certificate's end is far enough away."""
    days = (end - now).total_seconds() / 86400
    evidence = f"the certificate is valid until {end:%Y-%m-%d} ({days:.0f} days)"
    return ok(evidence) if days > _CERTIFICATE_DAYS else warning(evidence, _RENEW)

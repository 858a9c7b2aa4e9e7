"""A code location's compose service as what a pod needs: pure, with everything else refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from stackctl.kubernetes.cluster import LOGS_KEYS, SECRETS_FOLDER, Cluster
from stackctl.kubernetes.problems import Problems
from stackctl.kubernetes.refusals import LABEL, refuse_others

# In the environment of code servers or runs; a name that is there twice is refused by the API.
_OF_THE_CHART = {
    *("DAGSTER_CONTAINER_CONTEXT", "DAGSTER_CURRENT_IMAGE", "DAGSTER_HOME", "DAGSTER_PG_PASSWORD"),
    *("DAGSTER_RUN_JOB_NAME", "CODE_SERVER_ADDRESS"),
}
_STEP_LOGS = "compute_logs"
_STORAGE = "DAGSTER_STORAGE_DIR"
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgKMG]?)i?[bB]?")
_HOST_VARIABLE = re.compile(r"(HOST|HOSTNAME|SERVER|ADDRESS|ENDPOINT)$")
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}


@dataclass(frozen=True)
class Workload:
    """What a pod of a code location gets, its server's and its runs' alike."""

    location: str
    environment: Mapping[str, str]
    secret_files: tuple[str, ...]
    """Below /run/secrets, the password of its role apart."""
    secret_mounts: Mapping[str, str]
    """Of `secrets:` in its service: names by the paths where they are, elsewhere than there."""
    password_file: str
    own_log_keys: bool
    """Whether its environment has S3 keys of its own, which then write its step logs too."""
    storage: str
    """Where a volume is mounted that outlives its runs; empty without one."""
    scratch: tuple[str, ...]
    resources: Mapping[str, Any]
    most: Mapping[str, str]
    """The largest limits that a run may ask for."""
    grace_s: int
    probe: Mapping[str, Any]
    outside: bool
    """Whether it reaches more than the stack's own services."""


def workload(
    location: str, config: Mapping[str, Any], cluster: Cluster, problems: Problems
) -> Workload:
    """The workload of a location in a resolved compose configuration; records what is refused."""
    service = config["services"][location]
    refuse_others(location, service, problems)
    environment = _environment(location, config, cluster, problems)
    given = _given_secrets(service)
    below = f"{SECRETS_FOLDER}/"
    files = _secret_files(location, service, config, environment)
    files |= {path.removeprefix(below) for path in given if path.startswith(below)}
    password = environment.get("DAGSTER_POSTGRES_PASSWORD_FILE", "")
    if not password.startswith(f"{SECRETS_FOLDER}/"):
        problems.refuse(
            location,
            "DAGSTER_POSTGRES_PASSWORD_FILE names no file of /run/secrets",
            f"DAGSTER_POSTGRES_PASSWORD_FILE: /run/secrets/{location}_password in its environment",
        )
    password_file = password.removeprefix(f"{SECRETS_FOLDER}/")
    return Workload(
        location=location,
        environment=environment,
        secret_files=tuple(sorted(files - {password_file})),
        secret_mounts={path: name for path, name in given.items() if not path.startswith(below)},
        password_file=password_file,
        own_log_keys=any(
            name in environment or f"{name}_FILE" in environment for name in LOGS_KEYS
        ),
        storage=_storage(location, service, config, problems),
        scratch=tuple(str(each).partition(":")[0] for each in service.get("tmpfs") or ()),
        resources=_resources(service),
        most=_most(service),
        grace_s=seconds(service.get("stop_grace_period") or "10s"),
        probe=_probe(service.get("healthcheck")),
        outside="outside" in (service.get("networks") or {}),
    )


def names_of(config: Mapping[str, Any]) -> dict[str, str]:
    """The services of the stack by all names that they have in its networks."""
    names = {}
    for key, service in config["services"].items():
        names[key] = key
        for joined in (service.get("networks") or {}).values():
            names |= dict.fromkeys((joined or {}).get("aliases") or (), key)
    return names


def at_address(
    where: str, value: str, config: Mapping[str, Any], cluster: Cluster, problems: Problems
) -> str:
    """A variable's value; where it names a service of the stack, with an address of the cluster.

    A URL does, `host:port` does, and a bare name in a variable that is called a host: a role may
    be called as a service is.
    """
    if "://" in value:
        host = urlsplit(value).hostname or ""
    else:
        host, _, port = value.partition(":")
        if not port.isdigit() and not (_HOST_VARIABLE.search(where) and not port):
            return value
    if host in cluster.hosts:
        return value.replace(host, cluster.hosts[host], 1)
    if host and host in names_of(config):
        problems.refuse(
            where,
            f"{value!r} is the service {names_of(config)[host]} of this stack, which the charts do"
            " not run",
            f"say where it is: HOSTS='{host}=address', or another value in .env",
        )
    return value


def _environment(
    location: str, config: Mapping[str, Any], cluster: Cluster, problems: Problems
) -> dict[str, str]:
    found = {}
    for name, value in (config["services"][location].get("environment") or {}).items():
        # Without a value it would be the caller's; the image's name comes from the chart.
        if value is None or name == "DAGSTER_IMAGE_REPOSITORY":
            continue
        where = f"{location}: {name}"
        if name in _OF_THE_CHART:
            problems.refuse(where, "the chart or the launcher sets it", "another name")
        address = at_address(where, str(value), config, cluster, problems)
        # Kubernetes fills $(NAME) in; doubled, it is as it was.
        found[name] = address.replace("$(", "$$(")
    return found


def _secret_files(
    location: str,
    service: Mapping[str, Any],
    config: Mapping[str, Any],
    environment: Mapping[str, str],
) -> set[str]:
    """Names of the files in its secrets volume: those that it names, and those that it is given."""
    prefix = f"{SECRETS_FOLDER}/"
    named = {
        value.removeprefix(prefix)
        for name, value in environment.items()
        if name.endswith("_FILE") and value.startswith(prefix)
    }
    volumes = {
        mount.get("source")
        for mount in service.get("volumes") or ()
        if mount.get("target") == SECRETS_FOLDER
    }
    return named | set(_shared(volumes, config["services"].get("secrets") or {}))


def _given_secrets(service: Mapping[str, Any]) -> dict[str, str]:
    """Names of the secrets that the service lists, by the path of each."""
    found = {}
    for each in service.get("secrets") or ():
        target = each.get("target") or each["source"]
        path = target if target.startswith("/") else f"{SECRETS_FOLDER}/{target}"
        # In its folder, the file's name is the key.
        found[path] = each["source"]
    return found


def _shared(volumes: set[Any], secrets: Mapping[str, Any]) -> Iterator[str]:
    """What the service `secrets` puts into these volumes (control_plane.secrets, --share)."""
    targets = {m["target"] for m in secrets.get("volumes") or () if m.get("source") in volumes}
    for argument in secrets.get("command") or ():
        target, _, names = argument.removeprefix("--share=").partition("=")
        if argument.startswith("--share=") and target.partition(":")[0] in targets:
            yield from names.split(",")


def _storage(
    location: str, service: Mapping[str, Any], config: Mapping[str, Any], problems: Problems
) -> str:
    stored = (service.get("environment") or {}).get(_STORAGE)
    found = ""
    for mount in service.get("volumes") or ():
        target, source = mount["target"], mount.get("source", "")
        if mount["type"] == "bind":
            problems.refuse(
                location,
                f"bind mount {source} at {target}: nodes do not have this machine's files",
                "put the files into the image or on the object store",
            )
        elif mount["type"] == "tmpfs" or target == SECRETS_FOLDER or source == _STEP_LOGS:
            continue
        elif mount["type"] != "volume" or _is_special(config, source):
            problems.refuse(
                location,
                f"volume {source} at {target} has a driver or options of this machine",
                "put the files on the object store",
            )
        elif target == stored:
            found = target
        else:
            problems.refuse(
                location,
                f"local volume {source} at {target}: its files stay on this machine",
                f"put the files on the object store, or below {stored or 'DAGSTER_STORAGE_DIR'}",
            )
    return found


def _is_special(config: Mapping[str, Any], volume: str) -> bool:
    settings = (config.get("volumes") or {}).get(volume) or {}
    return bool(settings.get("driver", "local") != "local" or settings.get("driver_opts"))


def _resources(service: Mapping[str, Any]) -> dict[str, Any]:
    reserved = ((service.get("deploy") or {}).get("resources") or {}).get("reservations") or {}
    limited = ((service.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    limits = _amounts(
        service.get("mem_limit") or limited.get("memory"),
        service.get("cpus") or limited.get("cpus"),
    )
    requests = _amounts(reserved.get("memory"), reserved.get("cpus"))
    return {k: v for k, v in {"limits": limits, "requests": requests}.items() if v}


def _most(service: Mapping[str, Any]) -> dict[str, str]:
    labels = service.get("labels") or {}
    own: dict[str, str] = _resources(service).get("limits", {})
    return own | _amounts(labels.get(f"{LABEL}max_memory"), labels.get(f"{LABEL}max_cpus"))


def _amounts(memory: Any, cpus: Any) -> dict[str, str]:
    found = {}
    if memory and (amount := _bytes(str(memory))):
        # In Mi where it comes out even, as people write it.
        found["memory"] = str(amount) if amount % 2**20 else f"{amount // 2**20}Mi"
    if cpus and float(cpus):
        found["cpu"] = f"{float(cpus) * 1000:.0f}m"
    return found


def _bytes(text: str) -> int:
    found = _MEMORY.fullmatch(text)
    return int(float(found[1]) * _UNITS[found[2].lower()]) if found else 0


def seconds(duration: str) -> int:
    """Whole seconds of a duration as Compose writes it: 1m30s."""
    units = {"h": 3600, "m": 60, "s": 1}
    return max(1, sum(int(n) * units[u] for n, u in re.findall(r"(\d+)([hms])(?!s)", duration)))


def _probe(healthcheck: Mapping[str, Any] | None) -> dict[str, Any]:
    """By default that of deploy/code_location/Dockerfile, and more often: it tells readiness."""
    test = (healthcheck or {}).get("test") or ["CMD", "probe"]
    command = ["/bin/sh", "-c", *test[1:]] if test[0] == "CMD-SHELL" else list(test[1:])
    return {
        "exec": {"command": command},
        "periodSeconds": seconds((healthcheck or {}).get("interval") or "30s"),
        "timeoutSeconds": seconds((healthcheck or {}).get("timeout") or "25s"),
        "failureThreshold": int((healthcheck or {}).get("retries") or 3),
    }

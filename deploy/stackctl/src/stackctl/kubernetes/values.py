"""Values of the official charts `dagster` and, for each location, `dagster-user-deployments`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from stackctl.kubernetes.cluster import (
    FILES_SECRET,
    HOME,
    LOGS_KEYS,
    LOGS_SECRET,
    POSTGRES_KEY,
    POSTGRES_SECRET,
    RELEASE,
    SECRETS_FOLDER,
    Cluster,
    dns_name,
)
from stackctl.kubernetes.instance import CONTAINER_SECURITY, POD_SECURITY, instance
from stackctl.kubernetes.problems import Problems
from stackctl.kubernetes.workload import Workload, at_address

WEB_PORT = 3000
CODE_PORT = 4000
"""In deploy/code_location/code_server.py."""
# What concerns Dagster alone, of a service of the control plane; where Postgres is, the chart says.
_IN_BOTH = re.compile(r"DAGSTER_.*(?<!_FILE)$|MALLOC_ARENA_MAX$")
_OF_THE_CHART = {
    *("DAGSTER_POSTGRES_HOST", "DAGSTER_POSTGRES_PORT", "DAGSTER_POSTGRES_DB"),
    "DAGSTER_COMPUTE_LOGS_DIR",
}
# A start imports Dagster and the location.
_START_S = 300


def location_values(load: Workload, cluster: Cluster) -> dict[str, Any]:
    """Of the chart dagster-user-deployments, in the location's namespace."""
    image = cluster.images[load.location]
    environment = dict(load.environment) | {
        # A policy keeps others away, as a network of its own does in Compose.
        "CODE_SERVER_ADDRESS": "0.0.0.0",  # noqa: S104
    }
    if not load.own_log_keys:
        environment |= {f"{key}_FILE": f"{SECRETS_FOLDER}/{key.lower()}" for key in LOGS_KEYS}
    mounts, volumes = _volumes(load)
    probe = dict(load.probe)
    return {
        "fullnameOverride": dns_name(load.location),
        "postgresqlSecretName": POSTGRES_SECRET,
        "celeryConfigSecretName": "",
        "imagePullSecrets": [{"name": cluster.pull_secret}] if cluster.pull_secret else [],
        # Rights to make Jobs and pods are the control plane's alone.
        "rbacEnabled": False,
        "serviceAccount": {"create": True, "name": "code-location"},
        "deployments": [
            {
                "name": dns_name(load.location),
                "image": {
                    "repository": image.repository,
                    "tag": "",
                    "digest": image.digest,
                    "pullPolicy": "IfNotPresent",
                },
                # Without arguments of the chart the image's own command serves.
                "port": CODE_PORT,
                "includeConfigInLaunchedRuns": {"enabled": True},
                "env": [{"name": k, "value": v} for k, v in environment.items()],
                "podSecurityContext": POD_SECURITY,
                "securityContext": CONTAINER_SECURITY,
                "resources": load.resources,
                "volumes": volumes,
                "volumeMounts": mounts,
                "readinessProbe": {"enabled": True, **probe, "periodSeconds": 5},
                "livenessProbe": probe,
                "startupProbe": {
                    "enabled": True,
                    **probe,
                    "periodSeconds": 1,
                    "failureThreshold": _START_S,
                },
            }
        ],
    }


def _volumes(load: Workload) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Mounts and volumes: secrets as files, scratch folders, and what outlives runs."""
    sources: list[dict[str, Any]] = [
        _files(POSTGRES_SECRET, {POSTGRES_KEY: load.password_file}),
    ]
    if load.secret_files:
        sources.append(_files(FILES_SECRET, {name: name for name in load.secret_files}))
    if not load.own_log_keys:
        sources.append(_files(LOGS_SECRET, {key: key.lower() for key in LOGS_KEYS}))
    volumes: list[dict[str, Any]] = [
        # Read by the group, which is the pod's.
        {"name": "secrets", "projected": {"defaultMode": 0o440, "sources": sources}}
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "secrets", "mountPath": SECRETS_FOLDER, "readOnly": True}
    ]
    if load.secret_mounts:
        items = [{"key": name, "path": name} for name in load.secret_mounts.values()]
        secret = {"secretName": FILES_SECRET, "defaultMode": 0o440, "items": items}
        volumes.append({"name": "secret-mounts", "secret": secret})
        mounts += [
            {"name": "secret-mounts", "mountPath": path, "subPath": name, "readOnly": True}
            for path, name in load.secret_mounts.items()
        ]
    for number, path in enumerate(load.scratch):
        volumes.append({"name": f"scratch-{number}", "emptyDir": {}})
        mounts.append({"name": f"scratch-{number}", "mountPath": path})
    if load.storage:
        volumes.append({"name": "storage", "persistentVolumeClaim": {"claimName": "storage"}})
        mounts.append({"name": "storage", "mountPath": load.storage})
    return mounts, volumes


def _files(secret: str, names: Mapping[str, str]) -> dict[str, Any]:
    items = [{"key": key, "path": path} for key, path in names.items()]
    return {"secret": {"name": secret, "items": items}}


def control_plane_values(
    config: Mapping[str, Any],
    dagster: Mapping[str, Any],
    loads: Sequence[Workload],
    ports: Mapping[str, int],
    cluster: Cluster,
    problems: Problems,
) -> dict[str, Any]:
    """Of the chart dagster: webserver, daemon, instance and workspace.

    ``config``: the resolved compose configuration; ``dagster``: dagster.yaml; ``ports``: of code
    servers, from workspace.yaml.
    """
    environment = config["services"]["daemon"]["environment"]
    host = at_address(
        "daemon: DAGSTER_POSTGRES_HOST",
        environment["DAGSTER_POSTGRES_HOST"],
        config,
        cluster,
        problems,
    )
    values = instance(dagster, cluster, max((load.grace_s for load in loads), default=30), problems)
    servers = [
        {
            "host": cluster.address_of(load.location),
            "port": ports[load.location],
            "name": load.location,
        }
        for load in loads
    ]
    return {
        "global": {
            "postgresqlSecretName": POSTGRES_SECRET,
            "dagsterHome": HOME,
            "fullnameOverride": RELEASE,
        },
        # The daemon has rights in the namespaces of code locations, and none in its own.
        "rbacEnabled": False,
        "serviceAccount": {"create": True, "name": RELEASE},
        "generatePostgresqlPasswordSecret": False,
        "generateCeleryConfigSecret": False,
        "postgresql": {
            "enabled": False,
            "postgresqlHost": host,
            # The chart writes it as it is: each process logs in as the role of its environment, and
            # a run is its location's, not the daemon's.
            "postgresqlUsername": "{env: DAGSTER_POSTGRES_USER}",
            "postgresqlDatabase": environment["DAGSTER_POSTGRES_DB"],
            "service": {"port": int(environment["DAGSTER_POSTGRES_PORT"])},
        },
        "dagster-user-deployments": {"enabled": True, "enableSubchart": False},
        **values,
        "dagsterWebserver": {
            **_process(config["services"]["webserver"]),
            "service": {"type": "ClusterIP", "port": WEB_PORT},
            "workspace": {"enabled": True, "servers": servers},
            "readinessProbe": {
                "httpGet": {"path": "/server_info", "port": WEB_PORT},
                "periodSeconds": 20,
                "timeoutSeconds": 10,
                "failureThreshold": 3,
            },
        },
        "dagsterDaemon": {
            "enabled": True,
            **_process(config["services"]["daemon"]),
            **values["dagsterDaemon"],
        },
    }


def _process(service: Mapping[str, Any]) -> dict[str, Any]:
    """Webserver or daemon, of the chart's own image: what its service in Compose has, too."""
    environment = {
        name: value
        for name, value in service["environment"].items()
        if value is not None and name not in _OF_THE_CHART and _IN_BOTH.match(name)
    }
    memory = int(service.get("mem_limit") or 0)
    return {
        "env": [{"name": name, "value": str(value)} for name, value in environment.items()],
        "envSecrets": [{"name": LOGS_SECRET}],
        "podSecurityContext": POD_SECURITY,
        "securityContext": CONTAINER_SECURITY,
        "resources": {"limits": {"memory": f"{memory // 2**20}Mi"}} if memory else {},
        "volumes": [{"name": "scratch", "emptyDir": {}}],
        "volumeMounts": [
            {"name": "scratch", "mountPath": "/tmp", "subPath": "tmp"},  # noqa: S108
            {"name": "scratch", "mountPath": "/var/lib/dagster", "subPath": "dagster"},
        ],
        # It would need an image of Postgres, and a user's name where the chart has a selector.
        "checkDbReadyInitContainer": False,
    }

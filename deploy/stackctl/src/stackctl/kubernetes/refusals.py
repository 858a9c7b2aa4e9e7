"""What a compose service may say that a pod of the charts cannot: refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackctl.kubernetes.cluster import USER
from stackctl.kubernetes.problems import Problems

# What workload.py reads, or what the pod has by other means.
_CARRIED = {
    *("cap_drop", "cpus", "deploy", "environment", "healthcheck", "image", "labels", "mem_limit"),
    *("networks", "read_only", "secrets", "security_opt", "stop_grace_period", "tmpfs", "user"),
    "volumes",
}
# How images are built and containers kept on one machine.
_OF_COMPOSE = {
    *("build", "container_name", "depends_on", "develop", "init", "logging", "profiles"),
    *("pids_limit", "pull_policy", "restart", "stop_signal"),
}
_FIXES = {
    "command": "put it into the image (CMD); the chart starts what the image starts",
    "entrypoint": "put it into the image (ENTRYPOINT); the chart starts what the image starts",
    "network_mode": "remove it; a pod has a network of its own, and a policy says whom it reaches",
    "ports": "remove it; a code server answers webserver and daemon alone",
    "devices": "remove it; ask for a device plugin's resource by an overlay of its values",
    "privileged": "remove it; the namespace admits no privileged pods",
    "cap_add": "remove it; the namespace admits no pods with capabilities",
    "configs": "put the files into the image",
    "extra_hosts": "use names that the cluster's DNS knows",
}
LABEL = "compose_run_launcher."
_LABELS_CARRIED = {"role", "standby_workers", "max_memory", "max_cpus"}


def refuse_others(location: str, service: Mapping[str, Any], problems: Problems) -> None:
    """Record what has no counterpart, with what to do; and what is left out and harmless."""
    for key, value in service.items():
        if key in _CARRIED | _OF_COMPOSE or value in (None, [], {}, False):
            continue
        fix = _FIXES.get(key, "remove it from the service in docker-compose.yml")
        problems.refuse(location, f"{key} ({_shown(value)}) has no counterpart in the charts", fix)
    _refuse_security(location, service, problems)
    _refuse_labels(location, service.get("labels") or {}, problems)
    if service.get("pids_limit"):
        problems.note("pids_limit: a pod has none; it is podPidsLimit of each node's kubelet")


def _refuse_security(location: str, service: Mapping[str, Any], problems: Problems) -> None:
    for option in service.get("security_opt") or ():
        if option not in {"no-new-privileges:true", "no-new-privileges=true", "no-new-privileges"}:
            problems.refuse(
                location,
                f"security_opt {option!r} has no counterpart in the charts",
                "remove it; pods have the runtime's default seccomp profile",
            )
    user = str(service.get("user") or f"{USER}:{USER}")
    if user not in {f"{USER}", f"{USER}:{USER}"}:
        problems.refuse(location, f"user {user!r}", f"remove it; images run as {USER}:{USER}")
    if not service.get("read_only"):
        problems.refuse(
            location,
            "read_only is not true; the root of pods is read-only",
            "read_only: true, and a tmpfs for each folder that it writes to",
        )
    for key in set(service.get("deploy") or {}) - {"resources", "placement"}:
        problems.refuse(location, f"deploy.{key} has no counterpart here", "remove it")
    for kind, amounts in ((service.get("deploy") or {}).get("resources") or {}).items():
        for key in set(amounts) - {"cpus", "memory", "pids"}:
            problems.refuse(
                location,
                f"deploy.resources.{kind}.{key} has no counterpart here",
                "remove it, and set resources by an overlay of its values",
            )
    if (service.get("deploy") or {}).get("placement"):
        problems.refuse(
            location,
            "deploy.placement speaks of Swarm's nodes",
            "remove it, and set nodeSelector by an overlay of its values",
        )


def _refuse_labels(location: str, labels: Mapping[str, str], problems: Problems) -> None:
    for label in labels:
        name = label.removeprefix(LABEL)
        if label.startswith(LABEL) and name not in _LABELS_CARRIED:
            problems.refuse(
                location,
                f"label {label} is a setting of ComposeRunLauncher without a counterpart in"
                " K8sRunLauncher",
                "remove it; run_monitoring.max_runtime_seconds in dagster.yaml is for all runs"
                if name == "max_runtime"
                else "remove it",
            )
    if str(labels.get(f"{LABEL}standby_workers", "0")) != "0":
        problems.note("standby workers: there are none; each run starts a pod of its own, cold")


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

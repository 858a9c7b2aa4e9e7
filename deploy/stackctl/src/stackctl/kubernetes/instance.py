"""dagster.yaml as values of the chart `dagster`: pure, with what it cannot say refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stackctl.kubernetes.cluster import HOME, POSTGRES_SECRET, RELEASE, USER, Cluster, Logs
from stackctl.kubernetes.problems import Problems

_LAUNCHER_CARRIED = {"keep_succeeded_seconds", "keep_failed_seconds"}
_LAUNCHER_HARMLESS = {
    "project": "run_launcher.project: the namespaces are named by it",
    "standby_min_free_percent": "standby_min_free_percent: there are no standby workers",
}
_COMPUTE_LOGS = "dagster_aws.s3.compute_log_manager"
_LOGS_FIELDS = {"local_dir", "use_ssl", "verify", "verify_cert_path", "skip_empty_files"}
_LOGS_FIELDS |= {"bucket", "prefix", "endpoint_url", "upload_interval", "upload_extra_args"}
_LOGS_FIELDS |= {"show_url_only", "region"}
# The chart writes these itself.
_OF_THE_CHART = {
    *("run_storage", "event_log_storage", "schedule_storage", "scheduler", "run_coordinator"),
}

POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
# What a code location may say of its runs' pods: by its container context, and by the tag
# dagster-k8s/config. No labels: admission and network policies go by them. No image, command or
# other container.
_MAY_SAY = {
    "namespace": True,
    "container_config": dict.fromkeys(
        (
            *("env", "env_from", "image_pull_policy", "resources", "security_context"),
            "volume_mounts",
        ),
        True,
    ),
    "pod_spec_config": dict.fromkeys(
        (
            *("affinity", "automount_service_account_token", "image_pull_secrets"),
            *("node_selector", "security_context", "service_account_name", "tolerations"),
            "volumes",
        ),
        True,
    ),
}


def instance(
    config: Mapping[str, Any], cluster: Cluster, grace_s: int, problems: Problems
) -> dict[str, Any]:
    """Values for dagster.yaml, of which ``config`` is the content.

    ``grace_s``: how long a run's pod has to end. Records what is refused.
    """
    rest = dict(config)
    _check_storage(rest.pop("storage", {}), problems)
    for key in sorted(_OF_THE_CHART & set(rest)):
        problems.refuse(
            "dagster.yaml",
            f"{key}: the chart writes this itself",
            f"use storage and run_queue for {key}",
        )
        del rest[key]
    values: dict[str, Any] = {
        "runLauncher": _launcher(rest.pop("run_launcher", {}), cluster, grace_s, problems),
        "computeLogManager": _logs(rest.pop("compute_logs", {}), cluster.logs, problems),
        "dagsterDaemon": {
            "runCoordinator": {
                "enabled": True,
                # The chart's own type does not know max_user_code_failure_retries.
                "type": "CustomRunCoordinator",
                "config": {
                    "customRunCoordinator": {
                        "module": "dagster",
                        "class": "QueuedRunCoordinator",
                        "config": rest.pop("run_queue", {}),
                    }
                },
            },
            "runMonitoring": {"enabled": False},
            "runRetries": {"enabled": False},
        },
        "concurrency": {"enabled": False},
        "retention": {"enabled": False},
        "telemetry": {"enabled": bool((rest.pop("telemetry", None) or {}).get("enabled", True))},
    }
    daemon = values["dagsterDaemon"]
    for key in ("run_monitoring", "run_retries", "sensors", "schedules", "backfills"):
        if key in rest:
            daemon[camel(key)] = camel_keys(rest.pop(key))
    if "run_monitoring" in config:
        # Unset, the chart writes another value than Dagster's.
        daemon["runMonitoring"].setdefault("startTimeoutSeconds", 180)
        daemon["runMonitoring"].setdefault("pollIntervalSeconds", 120)
    for key in ("concurrency", "retention"):
        if key in rest:
            values[key] = {"enabled": True} | camel_keys(rest.pop(key))
    if rest:
        values["additionalInstanceConfig"] = rest
    return values


def _check_storage(storage: Mapping[str, Any], problems: Problems) -> None:
    postgres = (storage or {}).get("postgres") or {}
    if not isinstance(postgres.get("postgres_db"), Mapping):
        problems.refuse(
            "dagster.yaml",
            "storage is not postgres with postgres_db",
            "keep the stack's own: each code location has a role of its own there",
        )
    elif more := set(postgres) - {"postgres_db", "should_autocreate_tables"}:
        problems.refuse("dagster.yaml", f"storage.postgres.{min(more)}", "remove it")
    elif more := set(postgres["postgres_db"]) - {
        *("hostname", "port", "db_name", "username", "password"),
    }:
        problems.refuse("dagster.yaml", f"storage.postgres.postgres_db.{min(more)}", "remove it")


def _launcher(
    launcher: Mapping[str, Any], cluster: Cluster, grace_s: int, problems: Problems
) -> dict[str, Any]:
    if launcher.get("class") != "ComposeRunLauncher":
        problems.refuse(
            "dagster.yaml",
            f"run_launcher is {launcher.get('class')!r}, not ComposeRunLauncher",
            "keep the stack's own; values for K8sRunLauncher are made from it",
        )
    config = launcher.get("config") or {}
    for key in config:
        if key in _LAUNCHER_HARMLESS:
            problems.note(_LAUNCHER_HARMLESS[key])
        elif key not in _LAUNCHER_CARRIED:
            problems.refuse(
                "dagster.yaml",
                f"run_launcher.config.{key} is a setting of ComposeRunLauncher without a"
                " counterpart in K8sRunLauncher",
                "remove it",
            )
    kept = [config.get("keep_succeeded_seconds", 300), config.get("keep_failed_seconds", 86400)]
    return {
        # With the class of the chart's own type, which gives each run the launcher's database
        # password, and cannot say what code locations may ask for.
        "type": "CustomRunLauncher",
        "config": {
            "customRunLauncher": {
                "module": "dagster_k8s",
                "class": "K8sRunLauncher",
                "config": {
                    # A run without its location's context would be made where the launcher has no
                    # rights.
                    "job_namespace": cluster.namespace,
                    "service_account_name": RELEASE,
                    "dagster_home": HOME,
                    "instance_config_map": f"{RELEASE}-instance",
                    # In the run's namespace, where it is that location's.
                    "postgres_password_secret": POSTGRES_SECRET,
                    "image_pull_policy": "IfNotPresent",
                    "security_context": snake_keys(CONTAINER_SECURITY),
                    "run_k8s_config": {
                        "pod_spec_config": {
                            "security_context": snake_keys(POD_SECURITY),
                            "termination_grace_period_seconds": grace_s,
                        },
                        # There is one for all Jobs: failed ones are looked at later.
                        "job_spec_config": {"ttl_seconds_after_finished": max(kept)},
                    },
                    "only_allow_user_defined_k8s_config_fields": _MAY_SAY,
                },
            }
        },
    }


def _logs(configured: Mapping[str, Any], logs: Logs | None, problems: Problems) -> dict[str, Any]:
    if logs:
        config: dict[str, Any] = {"bucket": logs.bucket, "prefix": logs.prefix}
        if logs.endpoint:
            config["endpointUrl"] = logs.endpoint
    elif configured.get("module") == _COMPUTE_LOGS:
        given = configured.get("config") or {}
        for key in set(given) - _LOGS_FIELDS:
            problems.refuse("dagster.yaml", f"compute_logs.config.{key}", "remove it")
        config = camel_keys(given)
    else:
        problems.refuse(
            "dagster.yaml",
            f"compute_logs is {configured.get('class', 'unset')!r}: pods of runs and of the"
            " webserver share no folder",
            "LOGS=s3://bucket/prefix, with LOGS_ENDPOINT=https://... unless it is AWS",
        )
        config = {"bucket": "unknown"}
    # What a run's step prints shows while it runs.
    config.setdefault("uploadInterval", 5)
    return {"type": "S3ComputeLogManager", "config": {"s3ComputeLogManager": config}}


def camel(name: str) -> str:
    """A key of dagster.yaml as the chart writes it."""
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def camel_keys(value: Any) -> Any:
    """All keys of a tree as the chart writes them."""
    if isinstance(value, Mapping):
        return {camel(key): camel_keys(item) for key, item in value.items()}
    return [camel_keys(item) for item in value] if isinstance(value, list) else value


def snake_keys(value: Any) -> Any:
    """All keys of a tree as dagster-k8s takes them."""
    if isinstance(value, Mapping):
        return {
            re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", key): snake_keys(item)
            for key, item in value.items()
        }
    return value

"""This mode's dagster.yaml and workspace.yaml, derived from those at the root."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from embedded.errors import EmbeddedError

# Launcher and queue of the Compose stack; both talk to the Docker engine.
_DOCKER_ONLY = "compose_run_launcher"


def instance_config(root_config: str) -> str:
    """The instance as in Docker, without what only Docker has.

    Without a launcher Dagster's own default starts a run in its location's environment; the
    queue keeps its settings and becomes Dagster's own.
    """
    config = yaml.safe_load(root_config)
    if not isinstance(config, dict):
        raise EmbeddedError("dagster.yaml: expected a mapping at the top")
    config.pop("run_launcher", None)
    coordinator = config.get("run_coordinator", {})
    if coordinator.get("module") == _DOCKER_ONLY:
        settings = {k: v for k, v in coordinator.get("config", {}).items() if k != "project"}
        config["run_coordinator"] = {
            "module": "dagster",
            "class": "QueuedRunCoordinator",
            "config": settings,
        }
    return yaml.safe_dump(config, sort_keys=False)


def workspace_config(ports: Mapping[str, int]) -> str:
    """A workspace with one gRPC server on loopback per location name."""
    servers = [
        {"grpc_server": {"host": "127.0.0.1", "port": port, "location_name": name}}
        for name, port in ports.items()
    ]
    return yaml.safe_dump({"load_from": servers}, sort_keys=False)


def write(path: Path, source: str, text: str) -> None:
    """Replace ``path`` in one step: the daemon re-reads its workspace file while it runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(f"# Derived from {source} at every start of `make dev`.\n{text}")
    temporary.replace(path)

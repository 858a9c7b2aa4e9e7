"""This mode's dagster.yaml and workspace.yaml, derived from those at the root."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from control_plane.errors import StackError


def instance_config(root_config: str) -> str:
    """The instance as in Docker, without the launcher that makes run containers.

    Dagster's own default then starts a run in its location's environment.
    """
    config = yaml.safe_load(root_config)
    if not isinstance(config, dict):
        raise StackError("dagster.yaml: expected a mapping at the top")
    config.pop("run_launcher", None)
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

"""The code locations that a workspace file names."""

from __future__ import annotations

from pathlib import Path

import yaml

from control_plane.errors import StackError


def servers(workspace: Path) -> dict[str, str]:
    """Addresses (``host:port``) of the workspace's gRPC servers, by location, in its order.

    Raises StackError naming the file when it cannot be read or has another form.
    """
    try:
        entries = yaml.safe_load(workspace.read_text())["load_from"]
        found = [entry["grpc_server"] for entry in entries]
        return {server["location_name"]: f"{server['host']}:{server['port']}" for server in found}
    except OSError as error:
        raise StackError(f"{workspace}: {error.strerror}") from None
    except (yaml.YAMLError, KeyError, TypeError):
        raise StackError(
            f"{workspace}: expected load_from with grpc_server entries of a host, a port and a"
            " location_name"
        ) from None

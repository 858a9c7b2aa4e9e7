"""Dagster runs in containers that are copies of their code location's Compose service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compose_run_launcher.launcher import ComposeRunLauncher

__all__ = ["API_VERSION", "ComposeRunLauncher"]

API_VERSION = "1.45"
"""Docker Engine's API as this package speaks it: of Engine 26, the oldest that the stack runs on.

The gateway sends the same one (deploy/gateway/docker). The engine's own could be newer, and answer
the same question otherwise.
"""


def __getattr__(name: str) -> Any:
    # Loaded when it is asked for: other processes use a module of this package without Docker.
    if name == "ComposeRunLauncher":
        from compose_run_launcher.launcher import ComposeRunLauncher

        return ComposeRunLauncher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

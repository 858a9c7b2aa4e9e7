"""Dagster runs in containers that are copies of their code location's Compose service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compose_run_launcher.launcher import ComposeRunLauncher

__all__ = ["ComposeRunLauncher"]


def __getattr__(name: str) -> Any:
    # Loaded when it is asked for: other processes use a module of this package without Docker.
    if name == "ComposeRunLauncher":
        from compose_run_launcher.launcher import ComposeRunLauncher

        return ComposeRunLauncher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Dagster runs in containers that are copies of their code location's Compose service."""

from compose_run_launcher.launcher import ComposeRunLauncher

__all__ = ["ComposeRunLauncher"]

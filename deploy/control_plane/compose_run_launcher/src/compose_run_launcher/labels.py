"""Labels and tags by which containers, runs and their stack know each other."""

from __future__ import annotations

COMPOSE_PROJECT = "com.docker.compose.project"
COMPOSE_SERVICE = "com.docker.compose.service"
COMPOSE_ONEOFF = "com.docker.compose.oneoff"
COMPOSE_PREFIX = "com.docker.compose."

# Run containers carry none of Compose's labels: `docker compose up --remove-orphans` and
# `docker compose down` would take them for leftovers of the project and kill the run.
STACK = "compose_run_launcher.project"
LOCATION = "compose_run_launcher.location"
ROLE = "compose_run_launcher.role"
ROLE_RUN = "run"
# Set on each code location's service in the compose file.
ROLE_CODE_LOCATION = "code-location"

RUN_ID = "dagster/run_id"
JOB_NAME = "dagster/job_name"


def for_run(project: str, location: str, run_id: str, job_name: str) -> dict[str, str]:
    """The labels of a run container."""
    return {
        STACK: project,
        LOCATION: location,
        ROLE: ROLE_RUN,
        RUN_ID: run_id,
        JOB_NAME: job_name,
    }

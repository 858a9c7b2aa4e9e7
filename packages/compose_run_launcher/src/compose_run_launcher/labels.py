"""Labels and names by which containers, runs and their stack know each other."""

from __future__ import annotations

import re

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

# A standby worker has no run yet: it says which service container it is a copy of, and the
# ticket by which it recognizes its run.
SERVICE = "compose_run_launcher.service"
TICKET = "compose_run_launcher.ticket"
# On a code location's service: how many standby workers are kept for it.
STANDBY_WORKERS = "compose_run_launcher.standby_workers"

RUN_ID = "dagster/run_id"
JOB_NAME = "dagster/job_name"


def for_run(project: str, location: str, run_id: str, job_name: str) -> dict[str, str]:
    """The labels of a container that is made for its run."""
    return _of_any_run(project, location) | {RUN_ID: run_id, JOB_NAME: job_name}


def for_standby(project: str, location: str, service_id: str, ticket: str) -> dict[str, str]:
    """The labels of a standby worker's container, which it keeps when it gets a run."""
    return _of_any_run(project, location) | {SERVICE: service_id, TICKET: ticket}


def _of_any_run(project: str, location: str) -> dict[str, str]:
    return {STACK: project, LOCATION: location, ROLE: ROLE_RUN}


def run_name(project: str, run_id: str) -> str:
    """The name of the run's container. The engine gives a name once, so nothing runs twice."""
    return f"{project}-run-{run_id}"


def standby_name(project: str, location: str, ticket: str) -> str:
    """The name of a standby worker's container until it gets a run."""
    return f"{project}-standby-{location}-{ticket}"


def rpc_prefix(project: str) -> str:
    """What the names of a stack's RPC networks begin with; the location's name follows."""
    return f"{project}_rpc_"


def names_candidate(name: str) -> bool:
    """Whether a container of this name is a release that is being tried out beside the live one.

    It has all labels of its service already, and must be neither copied nor pinned.
    """
    return name.endswith("-candidate")


def run_of(project: str, name: str) -> str:
    """The id of the run that a container of this name belongs to; empty when there is none."""
    match = re.fullmatch(rf"/?{re.escape(project)}-run-([0-9a-f-]{{36}})(-after-.*)?", name)
    return match[1] if match else ""

"""Labels and names by which this stack's containers are known."""

from __future__ import annotations

import re

COMPOSE = "com.docker.compose."
COMPOSE_PROJECT = f"{COMPOSE}project"
COMPOSE_SERVICE = f"{COMPOSE}service"
COMPOSE_ONEOFF = f"{COMPOSE}oneoff"
COMPOSE_NUMBER = f"{COMPOSE}container-number"

STACK = "compose_run_launcher.project"
LOCATION = "compose_run_launcher.location"
ROLE = "compose_run_launcher.role"
ROLE_RUN = "run"
ROLE_LOCATION = "code-location"
ROLE_CONTROL_PLANE = "control-plane"
SERVICE = "compose_run_launcher.service"
TICKET = "compose_run_launcher.ticket"
RUN_ID = "dagster/run_id"
JOB_NAME = "dagster/job_name"
MAX_MEMORY = "compose_run_launcher.max_memory"
MAX_CPUS = "compose_run_launcher.max_cpus"
# On a network: only servers are in it, never runs. Its name says the same.
NETWORK = "compose_run_launcher.network"
NETWORK_RPC = "rpc"

ID = "[0-9a-f]{64}"
# A location's name is its service's.
LOCATION_NAME = "[A-Za-z0-9][A-Za-z0-9_.-]*"
TICKET_TEXT = "[0-9a-f]{12}"
_RUN_ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class Names:
    """The names that this stack's containers and networks may have, as patterns."""

    def __init__(self, project: str) -> None:
        start = re.escape(project)
        self.run = re.compile(rf"{start}-run-(?P<run>{_RUN_ID})(-after-[0-9a-f]{{12}})?")
        self.standby = re.compile(
            rf"{start}-standby-(?P<location>{LOCATION_NAME})-(?P<ticket>{TICKET_TEXT})"
        )
        # While Compose replaces a container, the new one has the old one's id before its name.
        self.service = re.compile(
            rf"/([0-9a-f]{{12}}_)?{start}-(?P<service>{LOCATION_NAME})-(?P<number>\d+)"
        )
        self._rpc = f"{project}_rpc_"

    def is_rpc(self, network: str) -> bool:
        """Whether a network of this name is for code servers and those who call them."""
        return network.startswith(self._rpc)

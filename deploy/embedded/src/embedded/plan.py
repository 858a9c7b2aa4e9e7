"""The stack's processes as commands: pure, from paths, ports and environments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from embedded.environment import Environments
from embedded.locations import Location
from embedded.postgres import server_command, server_environment
from embedded.postgres_home import Home
from embedded.services import Service
from embedded.settings import Paths


@dataclass(frozen=True)
class Plan:
    """One run of the stack. ``code_ports`` maps a location's name to its gRPC port."""

    paths: Paths
    home: Home
    locations: Sequence[Location]
    environments: Environments
    webserver_port: int
    code_ports: Mapping[str, int]
    path_prefix: str = ""

    @property
    def url(self) -> str:
        return f"http://localhost:{self.webserver_port}{self.path_prefix}"

    @property
    def location_names(self) -> str:
        return ",".join(location.name for location in self.locations)

    def postgres(self) -> Service:
        return Service(
            name="postgres",
            command=server_command(self.home, self.environments.postgres_port),
            environment=server_environment(),
            folder=self.home.folder,
            log=self.paths.logs / "postgres.log",
            account=self.home.account,
            title="Postgres",
        )

    def migrate(self) -> Service:
        options = ["--secrets", str(self.paths.secrets), "--sql", str(self.paths.sql)]
        command = ["control-plane", "migrate", *options, "--locations", self.location_names]
        return self._control("migrate", command, self.environments.migrate())

    def end_lost_runs(self) -> Service:
        return self._control("lost_runs", ["python", "-m", "embedded.lost_runs"])

    def webserver(self) -> Service:
        listen = ["--host", "127.0.0.1", "--port", str(self.webserver_port)]
        # No gateway stands before it here: it keeps web pages out by itself.
        program = ["python", "-m", "control_plane.loopback_webserver"]
        options = ["--path-prefix", self.path_prefix, "--workspace", str(self.paths.workspace)]
        command = [*program, *listen, *options]
        return self._control("webserver", command)

    def daemon(self) -> Service:
        program = ["python", "-m", "control_plane.daemon"]
        return self._control("daemon", [*program, "--workspace", str(self.paths.workspace)])

    def status(self, wait_s: int) -> list[str]:
        program = str(self.paths.binaries / "control-plane")
        options = ["--url", self.url, "--wait", str(wait_s), "--expect", self.location_names]
        return [program, "status", *options]

    def prepare(self, location: Location) -> Service:
        return self._location(f"{location.name}.prepare", location, location.prepare)

    def code_server(self, location: Location) -> Service:
        """The proxy kind of code server: it stands, and can reload, when definitions raise."""
        command = [
            *("python", "-m", "dagster", "code-server", "start"),
            *("--host", "127.0.0.1", "--port", str(self.code_ports[location.name])),
            *("--module-name", location.module, "--location-name", location.name),
            "--use-python-environment-entry-point",
        ]
        title = f"the code server of {location.name}"
        return self._location(location.name, location, command, title)

    def _control(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> Service:
        return Service(
            name=name,
            command=[str(self.paths.binaries / command[0]), *command[1:]],
            environment=environment or self.environments.control_plane(),
            folder=self.paths.data,
            log=self.paths.logs / f"{name}.log",
        )

    def _location(
        self, name: str, location: Location, command: Sequence[str], title: str = ""
    ) -> Service:
        return Service(
            name=name,
            command=[str(location.python.with_name(command[0])), *command[1:]],
            environment=self.environments.location(location),
            folder=location.folder,
            log=self.paths.logs / f"{name}.log",
            title=title,
        )

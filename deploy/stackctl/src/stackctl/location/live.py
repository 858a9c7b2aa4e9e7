"""A code location in the stack that runs: others, webserver and daemon keep their containers."""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import dataclass

from stackctl.console import step
from stackctl.control_plane import ControlPlane
from stackctl.docker import ROOT, DockerError, docker, inspect
from stackctl.errors import StackctlError
from stackctl.stack import Stack
from stackctl.waiting import until

_STANDBY_GONE_S = 60


def compose(*arguments: str) -> str:
    """One `docker compose` command's output."""
    return docker("compose", *arguments)


def engine_answers() -> bool:
    """Whether there is a Docker Engine at all."""
    try:
        docker("version", "--format", "{{.Server.Version}}")
    except StackctlError:
        return False
    return True


def is_running() -> bool:
    """Whether this checkout's stack runs, as far as its webserver does."""
    return engine_answers() and bool(compose("ps", "--quiet", "--status", "running", "webserver"))


def has_data(stack: Stack) -> bool:
    """Whether the stack has a database, and with it perhaps runs that wait."""
    volume = stack.config["volumes"]["postgres"]["name"]
    return bool(docker("volume", "ls", "--quiet", "--filter", f"name=^{volume}$").strip())


def start(name: str) -> None:
    """Build the location, give it its password and role, start it, and show it.

    Raises StackctlError when one of these fails.
    """
    with step(f"image of {name}"):
        compose("build", "--quiet", name, "workspace")
    with step("its password"):
        _one_shot("secrets", "--no-deps")
    with step(f"role, schema and code server of {name}"):
        _up(name)
    with step("webserver and daemon take it up"):
        publish()
    # As `make status` does, which knows the address that people open.
    status = (ROOT / "deploy" / "stackctl" / "status", "--only", name)
    if subprocess.run(status, check=False).returncode:
        raise StackctlError(f"{name} is not loaded, see above")


def prepare() -> None:
    """Passwords and roles as docker-compose.yml says now."""
    # Not with its dependents: Compose recreates these when it recreates this one.
    _one_shot("secrets", "--no-deps")
    _one_shot("migrate")


def publish() -> None:
    """The list of locations as workspace.yaml says now; the webserver has read it then."""
    compose("build", "--quiet", "workspace")
    _up("workspace")


def active_runs(stack: Stack, name: str) -> list[str]:
    """Id, job and state of each run of the location that waits or runs."""
    found = ControlPlane(stack).ask("runs", name)
    return [f"{run['id']} {run['job']} {run['status']}" for run in found]


@dataclass(frozen=True)
class Remains:
    """What belongs to a location beside its files. ``stack`` still knows it."""

    stack: Stack
    name: str

    def remove_containers(self) -> None:
        """Its code server; then its standby workers and ended runs.

        The daemon may be about to make a standby worker, so they are looked for until it has
        noticed.
        """
        project = f"label=com.docker.compose.project={self.stack.project}"
        for container in _ids(project, f"label=com.docker.compose.service={self.name}"):
            docker("stop", container)
            _remove(container)
        own = (
            f"label=compose_run_launcher.project={self.stack.project}",
            f"label=compose_run_launcher.location={self.name}",
        )

        def gone() -> bool:
            for container in _ids(*own):
                _remove(container)
            return not _ids(*own)

        if not until(gone, _STANDBY_GONE_S, 0.5):
            raise StackctlError(
                f"containers of {self.name} keep coming back for {_STANDBY_GONE_S} s"
            )

    def remove_network(self) -> None:
        """The network in which its code server answered; webserver and daemon are still in it."""
        name = f"{self.stack.project}_rpc_{self.name}"
        for network in inspect("network", name):
            for container in network.get("Containers") or {}:
                with contextlib.suppress(DockerError):
                    docker("network", "disconnect", "--force", name, container)
            docker("network", "rm", name)

    def remove_images(self) -> None:
        """All of them, releases of before included."""
        reference = f"reference={self.stack.project}/{self.name}"
        listed = docker("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", reference)
        for image in listed.split():
            if not image.endswith(":<none>"):
                docker("rmi", image)

    def delete_data(self) -> None:
        """Its schema and role with all that they own, its password and its volumes."""
        role = f'"{self.name}"'
        _sql("warehouse", f"DROP SCHEMA IF EXISTS {role} CASCADE")
        if _sql("postgres", f"SELECT 1 FROM pg_roles WHERE rolname = '{self.name}'"):
            for database in ("warehouse", "dagster"):
                _sql(database, f"DROP OWNED BY {role} CASCADE")
            _sql("postgres", f"DROP ROLE {role}")
        files = [f"/secrets/{place}/{self.name}_password" for place in ("all", "migrate")]
        compose(*("run", "--rm", "-T", "--no-deps", "--entrypoint", "rm", "secrets", "-f"), *files)
        for kind in ("secrets", "storage"):
            volume = self.stack.config["volumes"][f"{kind}_{self.name}"]["name"]
            if docker("volume", "ls", "--quiet", "--filter", f"name=^{volume}$").strip():
                docker("volume", "rm", volume)


def _one_shot(service: str, *options: str) -> None:
    """Run it to its end. Raises StackctlError with its last line when it fails."""
    compose("up", "--detach", *options, service)
    container = compose("ps", "--all", "--quiet", service).strip()
    if docker("wait", container).strip() != "0":
        log = docker("logs", "--tail=1", container).strip()
        raise StackctlError(f"{service} failed: {log or 'see docker compose logs'}")


def _up(service: str) -> None:
    # With what it depends on, which is up to date: a container that was made with --no-deps is
    # re-created by the next plain `up`, because its configuration differs.
    try:
        compose("up", "--detach", "--wait", service)
    except DockerError as error:
        log = compose("logs", "--no-log-prefix", "--tail=20", service).strip().splitlines()
        said = f"; it said last: {log[-1].strip()}" if log else ""
        raise StackctlError(f"{service} does not start: {error}{said}") from None


def _ids(*filters: str) -> list[str]:
    options = (part for each in filters for part in ("--filter", each))
    return docker("ps", "--all", "--quiet", "--no-trunc", *options).split()


def _remove(container: str) -> None:
    # Somebody else, as the daemon, may be at it.
    with contextlib.suppress(DockerError):
        docker("rm", "--force", "--volumes", container)


def _sql(database: str, statement: str) -> str:
    """What a statement of the superuser's prints; nothing of it is left when it fails."""
    psql = ("psql", "-U", "postgres", "-h", "/var/run/postgresql", "-d", database, "-qAt")
    command = ("exec", "-T", "postgres", *psql, "-v", "ON_ERROR_STOP=1", "-c", statement)
    return compose(*command).strip()

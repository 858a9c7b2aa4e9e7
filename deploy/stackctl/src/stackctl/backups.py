"""The stack's backups, reached by containers of the service's image, which do the work."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stackctl.console import say
from stackctl.docker import begin, docker, inspect, remove_container
from stackctl.errors import REFUSED, Interrupted, StackctlError
from stackctl.stack import Stack

SERVICE = "backup"
OFFSITE = "backup_offsite"


@dataclass(frozen=True)
class Backups:
    """The stack's backups, reached by containers of the service's image."""

    stack: Stack

    @classmethod
    def load(cls) -> Backups:
        """Raises StackctlError where there is no image for it yet."""
        found = cls(Stack.load("--profile=*"))
        if not inspect("image", found.image):
            raise StackctlError(
                "the backup service was never built here. Fix: COMPOSE_PROFILES=backup in .env,"
                " then make up"
            )
        return found

    @property
    def image(self) -> str:
        return str(self._service["image"])

    @property
    def _service(self) -> dict[str, Any]:
        service: dict[str, Any] = self.stack.config["services"][SERVICE]
        return service

    def ask(self, *arguments: str) -> Any:
        """What a command answers about the backups, as JSON; it can change nothing."""
        mounts = [self._backups_mount(read_only=True)]
        # Where results are that the metrics exporter reads, too.
        mounts.append(f"{self._volume(self.stack.project, 'backup_status')}:/status:ro")
        return json.loads(self._run(arguments, mounts))

    def work(self, project: str, *arguments: str, more: Iterable[str] = ()) -> Any:
        """Run a command that changes volumes of a project; its progress is shown."""
        mounts = [self._backups_mount(read_only=False)]
        mounts += [f"{volume}:{target}" for volume, target in self.volumes(project).items()]
        mounts.append(f"{self._volume(project, 'postgres')}:/data/postgres")
        return json.loads(self._run(arguments, mounts, *more) or "null")

    def fetch(self, copy: str) -> int:
        """Bring the backups back from the repository elsewhere; how many there are."""
        network = self.stack.config["networks"]["outside"]["name"]
        if not inspect("network", network):
            # The same command makes it.
            raise StackctlError("no repository was opened here yet. Fix: make backup-repository")
        if "backups" in self.stack.config["volumes"]:
            # On a new machine Compose has not made it yet. With BACKUPS it is a folder.
            name = self._volume(self.stack.project, "backups")
            create_volume(self.stack.project, "backups", name)
        mounts = [self._backups_mount(read_only=False)]
        mounts.append(f"{self._volume(self.stack.project, 'secrets_offsite')}:/run/secrets:ro")
        settings = self.stack.config["services"][OFFSITE]["environment"]
        given = [f"--env={name}={value}" for name, value in settings.items() if value is not None]
        arguments = ("offsite", "fetch", f"--copy={copy}")
        return int(json.loads(self._run(arguments, mounts, f"--network={network}", *given)))

    def volumes(self, project: str) -> dict[str, str]:
        """The volumes that are backed up as files, in a project, and where they are mounted."""
        return {
            self._volume(project, mount["source"]): mount["target"]
            for mount in self._service["volumes"]
            if mount["target"].startswith("/data/")
        }

    def create_volumes(self, project: str) -> list[str]:
        """Create a project's volumes as Compose does, so that it takes them for its own."""
        mounted = {mount["source"] for mount in self._service["volumes"]} - {"backups"}
        keys = ["postgres", *sorted(mounted & set(self.stack.config["volumes"]))]
        for key in keys:
            create_volume(project, key, self._volume(project, key))
        return [self._volume(project, key) for key in keys]

    def _backups_mount(self, *, read_only: bool) -> str:
        [mount] = [each for each in self._service["volumes"] if each["target"] == "/backups"]
        source = mount["source"]
        if mount["type"] == "volume":
            source = self._volume(self.stack.project, source)
        return f"{source}:/backups{':ro' if read_only else ''}"

    def _volume(self, project: str, key: str) -> str:
        if project == self.stack.project:
            return str(self.stack.config["volumes"][key]["name"])
        return f"{project}_{key}"

    def _run(self, arguments: Iterable[str], mounts: Iterable[str], *more: str) -> str:
        environment = [f"--env={k}={v}" for k, v in self._service["environment"].items()]
        name = f"{self.stack.project}-backup-{uuid.uuid4().hex[:8]}"
        process = begin(
            *("run", "--rm", "--init", "--read-only", "--tmpfs=/tmp", f"--name={name}"),
            *("--cap-drop=ALL", "--security-opt=no-new-privileges:true"),
            # A restore gives files back to their owners.
            *(f"--cap-add={right}" for right in self._service["cap_add"]),
            f"--user={self._service['user']}",
            *(("--network=none",) if not any("--network" in each for each in more) else ()),
            *(f"--volume={mount}" for mount in mounts),
            *(*environment, *more, self.image, *arguments),
        )
        assert process.stdout and process.stderr and process.stdin  # noqa: S101 - begin has pipes
        process.stdin.close()
        last = ""
        try:
            for line in process.stderr:
                last = line.strip()
                if not last.startswith("error: "):
                    say(f"  {last}")
            printed = process.stdout.read()
        except Interrupted:
            # It is in a session of its own, and would go on.
            remove_container(name)
            raise
        if process.wait():
            raise StackctlError(last.removeprefix("error: "), REFUSED)
        return printed


def create_volume(project: str, key: str, name: str) -> None:
    """A volume that belongs to a Compose project, and goes with it."""
    labels = {"com.docker.compose.project": project, "com.docker.compose.volume": key}
    options = [f"--label={label}={value}" for label, value in labels.items()]
    docker("volume", "create", *options, name)


def shown_time(time: str) -> str:
    """A moment of the catalog, for people."""
    return f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M:%S} UTC"

"""Backups of the stack, and the way back from one; the service `backup` does the work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from stackctl.console import out, say, step
from stackctl.docker import ROOT, DockerError, begin, docker, inspect, remove_container
from stackctl.errors import REFUSED, USAGE, Interrupted, StackctlError
from stackctl.stack import Stack

_SERVICE = "backup"
_ASIDE = "/aside"

BackupId = Annotated[str, typer.Option("--backup", help="Its id; the newest that fits.")]
At = Annotated[str, typer.Option("--at", help="ISO 8601, UTC: such as 2026-11-27T01:30:00.")]
Into = Annotated[str, typer.Option(help="A new project beside this one, by its name.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


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
        service: dict[str, Any] = self.stack.config["services"][_SERVICE]
        return service

    def ask(self, *arguments: str) -> Any:
        """What a command answers about the backups, as JSON; nothing else is mounted."""
        mounts = [self._backups_mount(read_only=True)]
        return json.loads(self._run(arguments, mounts))

    def work(self, project: str, *arguments: str, more: Iterable[str] = ()) -> Any:
        """Run a command that changes volumes of a project; its progress is shown."""
        mounts = [self._backups_mount(read_only=False)]
        mounts += [f"{volume}:{target}" for volume, target in self.volumes(project).items()]
        mounts.append(f"{self._volume(project, 'postgres')}:/data/postgres")
        return json.loads(self._run(arguments, mounts, *more) or "null")

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


def backup() -> None:
    """Make a backup now."""
    with step("Making a backup"):
        made = _in_service("now")
    out.print(f"{made['id']}: {made['size'] / 1e6:,.1f} MB", markup=False)


def _in_service(task: str) -> Any:
    """The answer of a command in the service's own container, as JSON."""
    if not docker("compose", "ps", "--quiet", "--status=running", _SERVICE).strip():
        raise StackctlError(
            "the backup service does not run. Fix: COMPOSE_PROFILES=backup in .env, then make up"
        )
    try:
        return json.loads(docker("compose", "exec", "-T", _SERVICE, "python", "-m", "backup", task))
    except DockerError as error:
        raise StackctlError(error.reason.removeprefix("error: ")) from None


def list_backups(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    brief: Annotated[bool, typer.Option(help="The last results alone.")] = False,
) -> None:
    """List all backups, what the last one and the last rehearsal came to."""
    found = Backups.load().ask("list")
    if as_json:
        print(json.dumps(found))
        return
    if brief:
        for line in describe(found["status"]):
            out.print(line, markup=False)
        return
    table = Table("Backup", "Leads to", "until", "Size", "Postgres", box=None)
    for each in found["backups"]:
        size = f"{each['size'] / 1e6:,.1f} MB"
        table.add_row(
            each["id"], _short(each["ended"]), _short(each["until"]), size, each["postgres"]
        )
    out.print(table if found["backups"] else "there is no backup yet. Fix: make backup")
    for line in describe(found["status"]):
        out.print(line, markup=False)


def describe(status: dict[str, Any]) -> list[str]:
    """The last results, one line each."""
    lines = []
    if good := status.get("last_success"):
        lines.append(f"last backup: {good['id']}, {good['seconds']:g} s, {_age(good['ended'])}")
    if bad := status.get("last_failure"):
        lines.append(f"FAILED: backup of {_short(bad['time'])}: {bad['error']}")
    if rehearsal := status.get("rehearsal"):
        what = (
            f"{rehearsal['tables']} tables, {rehearsal['rows']:,} rows"
            if rehearsal["ok"]
            else f"FAILED: {rehearsal['error']}"
        )
        lines.append(
            f"last rehearsed restore: {rehearsal['backup']}, {what},"
            f" {rehearsal['seconds']:g} s, {_age(rehearsal['time'])}"
        )
    else:
        lines.append("no restore was rehearsed yet")
    return lines


def rehearse() -> None:
    """Restore the newest backup into a server of its own, and read every table."""
    with step("Rehearsing a restore"):
        found = _in_service("rehearse")
    out.print(
        f"{found['backup']} was restored: {found['tables']} tables, {found['rows']:,} rows,"
        f" {found['seconds']:g} s",
        markup=False,
    )


def restore(
    at: At = "",
    backup_id: BackupId = "",
    into: Into = "",
    undo: Annotated[str, typer.Option(help="Put back what a restore has kept aside.")] = "",
    yes: Yes = False,
) -> None:
    """Restore databases from a backup: into this stack, or into a new one beside it.

    Files of the other volumes and of the object store are put back where they are missing.
    """
    backups = Backups.load()
    if undo:
        _undo(backups, undo, yes)
        return
    project = into or backups.stack.project
    own = project == backups.stack.project
    if into:
        if not re.fullmatch("[a-z0-9][a-z0-9_-]*", into):
            raise StackctlError(
                f"INTO is {into!r}: not a project's name. Fix: a-z, 0-9, _ and - alone", USAGE
            )
        if not os.environ.get("RPC_SUBNETS"):
            raise StackctlError(
                "RPC_SUBNETS is not set: the networks of the new project need addresses of their"
                f" own. Fix: make restore INTO={into} RPC_SUBNETS=198.20",
                USAGE,
            )
        if docker("volume", "ls", "--quiet", f"--filter=name=^{into}_postgres$").strip():
            raise StackctlError(
                f"INTO is {into!r}: that project has data already. Fix: another name", USAGE
            )
    options = [f"--backup={backup_id}", f"--at={at}"]
    chosen = backups.ask("choose", *options)
    options = [f"--backup={chosen['id']}", f"--at={at}"]
    say(
        f"Backup {chosen['id']}, to {at or _short(chosen['until'])};"
        f" {chosen['unpacked'] / 1e6:,.0f} MB"
    )
    volumes = backups.create_volumes(project)
    if not own:
        try:
            found = backups.work(project, "restore", *options)
        except BaseException:
            # Half of them would be taken for a stack's data.
            docker("volume", "rm", "--force", *volumes)
            raise
    else:
        options += [f"--aside={_ASIDE}", "--new-line"]
        # Before anything is stopped.
        backups.work(project, "restore", *options, "--check")
        _confirm("This stops the stack and replaces both databases.", yes)
        name = f"{project}_postgres_before_{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        try:
            create_volume(project, name.removeprefix(f"{project}_"), name)
            _down()
            say(f"The present data are copied to the volume {name} first")
            found = backups.work(project, "restore", *options, more=[f"--volume={name}:{_ASIDE}"])
        except (StackctlError, Interrupted) as error:
            raise StackctlError(
                f"{str(error) or 'interrupted'}. The stack is stopped. Fix: that, then this command"
                f" again; or back to the data from before: make restore UNDO={name}"
            ) from None
    say(f"Restored {found['tables']} tables, {found['rows']:,} rows")
    _restore_objects(backups, project, chosen["id"])
    if own:
        say(f"The data from before are kept. Back to them: make restore UNDO={name}")
        _up()
    else:
        say(
            f"Start it with a port of its own: COMPOSE_PROJECT_NAME={into} WEBSERVER_PORT=3001"
            f" RPC_SUBNETS={os.environ['RPC_SUBNETS']} make up"
        )


def _undo(backups: Backups, volume: str, yes: bool) -> None:
    project = backups.stack.project
    if not volume.startswith(f"{project}_postgres_before_") or not inspect("volume", volume):
        raise StackctlError(
            f"UNDO is {volume!r}: there is no such volume. Fix: docker volume ls"
            f" --filter name={project}_postgres_before",
            USAGE,
        )
    _confirm("This stops the stack and puts both databases back as they were.", yes)
    _down()
    backups.work(project, "put-back", _ASIDE, more=[f"--volume={volume}:{_ASIDE}:ro"])
    _up()


def _restore_objects(backups: Backups, project: str, backup_id: str) -> None:
    own = project == backups.stack.project
    environment = {} if own else {"COMPOSE_PROJECT_NAME": project}
    with step("Putting back missing objects"):
        # A new project has no images yet.
        build = "--no-build" if own else "--build"
        command = ("compose", "--progress=quiet", "up", "--detach", build, "--wait")
        docker(*command, "object_store", environment=environment)
        of_this = backups.stack.config["networks"]["objects"]["name"]
        network = f"--network={of_this if own else f'{project}_objects'}"
        backups.work(project, "put-objects", f"--backup={backup_id}", more=[network])


def _confirm(what: str, yes: bool) -> None:
    if not yes and not typer.confirm(f"{what} Go on?", err=True):
        raise StackctlError("nothing was changed", REFUSED)


def _down() -> None:
    with step("Stopping the stack"):
        script = [ROOT / "deploy/stackctl/down"]
        done = subprocess.run(script, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it failed, and said nothing"]
        raise StackctlError(f"make down: {lines[-1]}")


def _up() -> None:
    # The releases that were live, whatever the checkout holds by now.
    with step("Starting the stack, and waiting until every service is healthy"):
        docker("compose", "--progress=quiet", "up", "--detach", "--no-build", "--wait")


def _short(time: str) -> str:
    return f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M:%S} UTC"


def _age(time: str) -> str:
    seconds = (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()
    if seconds < 5400:
        return f"{seconds / 60:.0f} min ago"
    return f"{seconds / 3600:.0f} h ago" if seconds < 172800 else f"{seconds / 86400:.0f} days ago"
